// SPDX-License-Identifier: MIT
//! slabtool: looks at the pools of mesa-slab from outside, in a process or in a core file.
//!
//! | module | what it is |
//! |---|---|
//! | `memory` | the memory of a process or of a core file |
//! | `locate`, `root`, `shapes` | where the library is, and where in its structures what lies |
//! | `image`, `ledger` | what is read of it: chunks, slabs, pools, guarded objects; records of the modes |
//! | `numbers`, `print` | what it adds up to, and the table of that |
//! | `find`, `children` | what an address is; what children cache |
//! | `look` | all of that of one copy |
//! | `symbols` | names of functions and data |
//! | `history`, `screen` | what `top` keeps, and draws |
//! | `target` | what a command is told to look at |
//! | `commands` | the commands |

mod children;
mod commands;
mod find;
mod history;
mod image;
mod ledger;
mod locate;
mod look;
mod memory;
mod numbers;
mod print;
mod redzone;
mod root;
mod screen;
mod shapes;
mod symbols;
mod target;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(
    version,
    about = "Looks at the pools of mesa-slab in processes and in core files",
    long_about = "Looks at the pools of mesa-slab in processes and in core files. The process is not stopped, unless \
                  --stop says so, and nothing is written to it. It may have several copies of the library, as each \
                  driver can carry one.",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Who reads only the beginning of what is printed ends this program.
    // SAFETY: no other thread is there yet, and the default action is a valid one.
    let _ = unsafe {
        nix::sys::signal::signal(nix::sys::signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl)
    };
    match arguments.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slabtool: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_document_has_each_command_and_option() {
        let document = include_str!("../../docs/seen-from-outside.md");
        for command in Arguments::command().get_subcommands() {
            assert!(
                document.contains(&format!("| `slabtool {}", command.get_name()))
                    || document.contains(&format!(", `slabtool {}", command.get_name())),
                "{}",
                command.get_name()
            );
            for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
                let row = document.lines().find(|line| {
                    line.starts_with("| `--")
                        && line.split('|').nth(1).is_some_and(|names| {
                            names
                                .split(['`', ' ', '[', '='])
                                .any(|name| name == format!("--{option}"))
                        })
                });
                assert!(row.is_some(), "{}: --{option}", command.get_name());
            }
        }
    }
}
