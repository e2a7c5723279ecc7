// SPDX-License-Identifier: MIT
//! `find`: what addresses are.

use std::cell::RefCell;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::find::{Finder, Found, Object, User, What};
use crate::look::{self, Look};
use crate::numbers::file_name;
use crate::symbols::Symbols;
use crate::target::Target;

#[derive(Args)]
pub struct Find {
    #[command(flatten)]
    target: Target,
    /// Addresses, in hexadecimal; - reads them from standard input
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// Don't search the program's memory for children, and so not tell what they cache from what the program has
    #[arg(long)]
    fast: bool,
    /// JSON in place of lines
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    found: Vec<Found>,
    warnings: Vec<String>,
}

fn parse(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u64::from_str_radix(digits, 16).with_context(|| format!("{text} is no address"))
}

impl Find {
    pub fn run(self) -> Result<()> {
        let mut addresses = Vec::new();
        for text in &self.addresses {
            if text == "-" {
                let input = std::io::read_to_string(std::io::stdin())?;
                addresses.extend(input.split_whitespace().map(parse).collect::<Result<Vec<_>>>()?);
            } else {
                addresses.push(parse(text)?);
            }
        }
        let opened = self.target.open()?;
        let nothing = |address: &u64| Found {
            address: format!("{address:#x}"),
            copy: None,
            what: What::Nothing,
        };
        let mut answer = Answer {
            found: addresses.iter().map(nothing).collect(),
            warnings: opened.remarks.clone(),
        };
        let symbols = RefCell::new(Symbols::default());
        for copy in &opened.copies {
            let look = match Look::at(&*opened.memory, copy, self.fast) {
                Ok(look) => look,
                Err(words) => {
                    answer.warnings.push(words);
                    continue;
                }
            };
            answer.warnings.extend(look.warnings.iter().cloned());
            let finder = Finder { look: &look, symbols: &symbols };
            for (address, found) in addresses.iter().zip(&mut answer.found) {
                if found.what == What::Nothing {
                    found.what = finder.find(*address);
                    let is_its = found.what != What::Nothing;
                    found.copy = is_its.then(|| look.numbers.object.clone());
                }
            }
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&answer)?);
            return Ok(());
        }
        for found in &answer.found {
            println!("{}", line(found, opened.copies.len() > 1));
            if let What::Object(object) | What::GuardPage { object } = &found.what {
                user("allocated", object.allocated.as_ref());
                user("freed", object.freed.as_ref());
            }
        }
        answer.warnings.iter().for_each(|warning| println!("# warning: {warning}"));
        Ok(())
    }
}

fn user(what: &str, user: Option<&User>) {
    if let Some(user) = user {
        println!("   {what} by thread {:#x}:", user.thread);
        user.frames.iter().for_each(|frame| println!("      {frame}"));
    }
}

/// What an object is, in a line.
fn of(object: &Object) -> String {
    let who = look::who(&object.who);
    let place = match (&object.slab, object.index) {
        (Some(slab), Some(index)) => format!(", number {index} of the slab at {slab}"),
        _ => String::new(),
    };
    let at = match object.offset {
        0 => "an object".into(),
        offset if offset < 0 => format!("{} bytes before the object at {}", -offset, object.object),
        offset if offset as u64 >= object.size => {
            format!("{} bytes behind the object at {}", offset as u64 - object.size, object.object)
        }
        offset => format!("{offset} bytes into the object at {}", object.object),
    };
    format!("{at} of pool {}{place}; {who}", object.pool)
}

/// What an address is, in a line; of several copies, with the name of the object that carries the one.
fn line(found: &Found, of_several: bool) -> String {
    let what = match &found.what {
        What::Nothing => "nothing of mesa-slab's".into(),
        What::Object(object) => of(object),
        What::Gap { pool, slab } => {
            format!("behind the last object of the slab at {slab} of pool {pool}")
        }
        What::Library { of } => format!("the library's own: {of}"),
        What::Parent { pool } => format!("in the parent of pool {pool}"),
        What::Header => "the library's own: the header of a chunk".into(),
        What::FreePage { dirty: true } => "a free page that may have memory behind it".into(),
        What::FreePage { dirty: false } => "a free page without memory".into(),
        What::GuardPage { object } => format!("a guard page, {}", of(object)),
    };
    let copy = found.copy.as_deref().filter(|_| of_several);
    let copy = copy.map_or(String::new(), |copy| format!("{}: ", file_name(copy)));
    format!("{}: {copy}{what}", found.address)
}
