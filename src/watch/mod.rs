// SPDX-License-Identifier: MIT
//! The instruments: what is looked at in pools, and what is said of it. The floors below know of
//! them only [`crate::hooks`].
//!
//! | folder or file | what it is |
//! |---|---|
//! | `debug` | what is checked in pools that are chosen for it |
//! | `guard` | objects against protected pages, and what is said when an access to one faults |
//! | `tools` | what AddressSanitizer, valgrind and the like are told of objects |
//! | `trace` | a record of all calls, for a replay |
//! | `own_file` | files that the library writes by itself, one for each copy of it |
//! | `options` | what SLAB_DEBUG says |
//! | `report`, `notes` | what is said on misuse, and how it is kept until nothing is locked |
//! | `handler` | the program's own function for reports |

#[cfg(feature = "debug")]
pub(crate) mod debug;
#[cfg(all(feature = "debug", unix))]
pub(crate) mod guard;
pub(crate) mod handler;
pub(crate) mod notes;
pub(crate) mod options;
pub(crate) mod own_file;
pub(crate) mod report;
#[cfg(feature = "debug")]
pub(crate) mod tools;
#[cfg(all(feature = "debug", unix))]
pub(crate) mod trace;
