//! The lines of a report that say who had an object.
//!
//! Each return address is a line, `module+0xoffset`, of the call before it, as addr2line takes it; where the
//! module cannot be told, the address itself.

use super::table::{Record, User};
use crate::line::Text;
use crate::os;
use crate::report::Report;

/// Adds who makes this call, and who allocated and freed the object, as far as it is known.
pub fn explain(report: &Report, now: User, record: Option<&Record>) {
    user(report, "  this call is", now);
    if let Some(record) = record {
        user(report, "  allocated", record.allocated);
        user(report, "  freed", record.freed);
    }
}

fn user(report: &Report, words: &str, user: User) {
    if user.thread != 0 {
        let mut line = Text::new();
        line.text(words).format(" by thread @:", &[user.thread]);
        report.line(&mut line);
        frames(report, user);
    }
}

/// Adds the stack of a user.
pub fn frames(report: &Report, user: User) {
    user.stack.for_each_frame(|frame| {
        let mut line = Text::new();
        line.text("    ");
        location(&mut line, frame - 1);
        report.line(&mut line);
    });
}

/// Writes where an address of code is.
pub fn location(line: &mut Text, address: usize) {
    let mut name = [0; 100];
    match os::module_of(address, &mut name) {
        Some((length, offset)) => line.bytes(&name[..length]).text("+").address(offset),
        None => line.address(address),
    };
}

/// Says who it was, one line after the other; nothing if nothing is known. Without a report, for whoever may not make
/// one.
#[inline(never)]
pub fn tell(words: &str, user: User, say: &mut dyn FnMut(&mut Text)) {
    if user.thread == 0 {
        return;
    }
    let mut line = Text::new();
    line.text(words).format(" by thread @:", &[user.thread]);
    say(&mut line);
    user.stack.for_each_frame(|frame| {
        line.clear();
        line.text("    ");
        location(&mut line, frame - 1);
        say(&mut line);
    });
}
