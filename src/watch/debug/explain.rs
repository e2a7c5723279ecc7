// SPDX-License-Identifier: MIT
//! The lines of a report that say who had an object.
//!
//! Each return address is a line, `module+0xoffset`, of the call before it, as addr2line takes it;
//! where the module cannot be told, the address itself.

use super::stack::FRAMES;
use super::stacks::Stack;
use super::table::{Record, User};
use crate::base::line::Text;
use crate::sys::os;
use crate::watch::report::Report;

/// Adds who makes this call, and who allocated and freed the object, as far as it is known.
pub(crate) fn explain(now: User, record: Option<&Record>, report: &Report) {
    tell("  this call is", now, Some(report));
    if let Some(record) = record {
        tell("  allocated", record.allocated, Some(report));
        tell("  freed", record.freed, Some(report));
    }
}

/// Says who it was, one line after the other; nothing if nothing is known. The lines belong to the
/// report; without one, they go to stderr.
pub(crate) fn tell(words: &str, user: User, report: Option<&Report>) {
    if user.thread != 0 {
        let mut line = Text::empty();
        line.text(words).format(" by thread @:", &[user.thread]);
        say(&mut line, report);
        frames(user.stack, report);
    }
}

/// Says the frames of a stack.
pub(crate) fn frames(stack: Stack, report: Option<&Report>) {
    // Read first: a report handler may not return from the first line.
    let (mut all, mut count) = ([0; FRAMES], 0);
    stack.for_each_frame(|frame| {
        if let Some(place) = all.get_mut(count) {
            *place = frame;
            count += 1;
        }
    });
    for frame in &all[..count] {
        let mut line = Text::empty();
        line.text("    ");
        location(&mut line, frame - 1);
        say(&mut line, report);
    }
}

/// Says a line of a report, or on stderr.
pub(crate) fn say(line: &mut Text, report: Option<&Report>) {
    match report {
        Some(report) => report.line(line),
        None => os::say(line.text("\n").as_bytes()),
    }
}

/// Writes where an address of code is.
pub(crate) fn location(line: &mut Text, address: usize) {
    let mut name = [0; 100];
    match os::module_of(address, &mut name) {
        Some((length, offset)) => line.bytes(&name[..length]).text("+").address(offset),
        None => line.address(address),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_no_file_is_written_itself() {
        let mut line = Text::empty();
        location(&mut line, 0x10);
        assert_eq!(line.as_bytes(), b"0x10");
    }
}
