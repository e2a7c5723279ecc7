# SPDX-License-Identifier: MIT
# Sourced by the check scripts: results as lines in the manner of the Test Anything Protocol,
# which scripts/test counts.

failures=0

# check WHAT COMMAND...: one result. The end of what it says is shown when it fails.
check() {
   what=$1
   shift
   if output=$("$@" 2>&1); then
      echo "ok - $what"
   else
      echo "not ok - $what"
      printf '%s\n' "$output" | tail -n 40 | sed 's/^/   /'
      failures=$((failures + 1))
   fi
}

# equal EXPECTED ACTUAL
equal() {
   [ "$1" = "$2" ] || {
      printf 'expected:\n%s\nis:\n%s\n' "$1" "$2"
      return 1
   }
}

finish() {
   [ $failures = 0 ]
}
