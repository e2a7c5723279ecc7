//! What a process of a run is told to do: the cases, and the allocators that are left out of them.

use crate::results::Failure;

/// Between a case and an allocator; no case has it in its name.
const OF: char = '=';

#[derive(clap::Args)]
pub struct Part {
    /// The number of the run
    #[arg(id = "latency_part_run", long = "latency-part-run", hide = true, default_value_t = 0)]
    pub run: usize,
    /// The cases, by their keys
    #[arg(id = "latency_part_case", long = "latency-part-case", hide = true)]
    pub cases: Vec<String>,
    /// Allocators that have failed, with the keys of the cases
    #[arg(id = "latency_part_without", long = "latency-part-without", hide = true)]
    without: Vec<String>,
}

fn without(case: &str, allocator: &str) -> String {
    format!("{case}{OF}{allocator}")
}

impl Part {
    /// Those that say it to the process.
    pub fn flags(run: usize, cases: &[&str], failures: &[Failure]) -> Vec<String> {
        let mut flags = vec!["--latency-here".into(), format!("--latency-part-run={run}")];
        flags.extend(cases.iter().map(|case| format!("--latency-part-case={case}")));
        let failed = failures.iter().map(|of| without(&of.case, &of.allocator));
        flags.extend(failed.map(|of| format!("--latency-part-without={of}")));
        flags
    }

    pub fn leaves_out(&self, case: &str, allocator: &str) -> bool {
        self.without.contains(&without(case, allocator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[arg(long)]
        latency_here: bool,
        #[command(flatten)]
        part: Part,
    }

    #[test]
    fn a_process_hears_what_it_is_told() {
        let failed = |case: &str, allocator: &str| Failure {
            case: case.into(),
            allocator: allocator.into(),
            reason: "out of memory".into(),
        };
        let failures = [failed("latency, churn", "a=b")];
        let flags = Part::flags(3, &["latency, fill", "latency, churn"], &failures);
        let Arguments { latency_here, part } =
            Arguments::parse_from(["bench".into()].into_iter().chain(flags));
        assert!(latency_here);
        assert_eq!((part.run, part.cases.len()), (3, 2));
        assert!(part.leaves_out("latency, churn", "a=b"));
        assert!(!part.leaves_out("latency, fill", "a=b"));
        assert!(!part.leaves_out("latency, churn", "a"));
    }
}
