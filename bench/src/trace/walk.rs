//! A walk through the records of a trace: what exists is tracked by id, every record is checked
//! against it and becomes a call.

use super::Call;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;

pub struct Record {
    op: u8,
    flags: u8,
    thread: u16,
    pool: usize,
    a: u32,
    b: u32,
}

impl Record {
    pub fn decode(bytes: &[u8]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a record has 16 bytes"))
        };
        Self {
            op: bytes[0],
            flags: bytes[1],
            thread: u16::from_le_bytes([bytes[2], bytes[3]]),
            pool: word(4) as usize,
            a: word(8),
            b: word(12),
        }
    }
}

/// The call was made through a mempool.
const MEMPOOL: u8 = 1;
/// The child that is passed to a free is destroyed, or was never created.
const DEAD_POOL: u8 = 8;
/// The child that is to be destroyed is not there.
const NO_CHILD: u8 = 128;
/// As many pools or objects as a program could have had; memory is reserved by the highest id.
const MOST_IDS: usize = 1 << 24;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Alive,
    Gone,
}

struct ParentState {
    state: State,
    is_mempool: bool,
}

struct ChildState {
    state: State,
    parent: usize,
    in_mempool: bool,
}

/// What exists at a point of the trace, and the calls up to there.
#[derive(Default)]
pub struct Walk {
    pub calls: Vec<Call>,
    /// The threads that made them.
    pub threads: Vec<u16>,
    parents: HashMap<usize, ParentState>,
    children: HashMap<usize, ChildState>,
    objects: HashMap<usize, State>,
    /// Also counts children that were passed to a free, but never created.
    child_limit: usize,
    pub ended: bool,
}

impl Walk {
    pub fn record(&mut self, record: &Record) -> Result<()> {
        self.make_call(record)?;
        self.threads.resize(self.calls.len(), record.thread);
        Ok(())
    }

    fn make_call(&mut self, record: &Record) -> Result<()> {
        let pool = record.pool;
        let a = record.a as usize;
        ensure!(pool < MOST_IDS, "pool {pool} is out of range");
        let mempool = record.flags & MEMPOOL != 0;
        match record.op {
            1 => self.create_parent(pool, record, mempool),
            2 => self.destroy_parent(pool),
            3 => self.create_child(pool, a, mempool),
            4 if record.flags & NO_CHILD != 0 => self.destroy_no_child(pool),
            4 => self.destroy_child(pool),
            5 => self.alloc(pool, a, false),
            6 => self.alloc(pool, a, true),
            7 => self.free(pool, a, record.flags & DEAD_POOL != 0),
            8 => {
                self.ended = true;
                ensure!(
                    a == self.objects.len(),
                    "it counts {a} objects, not {}",
                    self.objects.len()
                );
                Ok(())
            }
            op => bail!("unknown operation {op}"),
        }
    }

    fn create_parent(&mut self, parent: usize, record: &Record, is_mempool: bool) -> Result<()> {
        let state = ParentState { state: State::Alive, is_mempool };
        ensure!(self.parents.insert(parent, state).is_none(), "parent {parent} exists already");
        let (item_size, num_items) = (record.a, record.b);
        self.calls.push(if is_mempool {
            Call::Create { mempool: parent, item_size, num_items }
        } else {
            Call::CreateParent { parent, item_size, num_items }
        });
        Ok(())
    }

    fn live_parent(&self, id: usize) -> Result<&ParentState> {
        let parent = self.parents.get(&id).filter(|parent| parent.state == State::Alive);
        parent.with_context(|| format!("parent {id} does not exist"))
    }

    fn destroy_parent(&mut self, parent: usize) -> Result<()> {
        let is_mempool = self.live_parent(parent)?.is_mempool;
        self.calls.push(if is_mempool {
            Call::Destroy { mempool: parent }
        } else {
            Call::DestroyParent { parent }
        });
        self.parents.insert(parent, ParentState { state: State::Gone, is_mempool });
        Ok(())
    }

    /// The child of a mempool is created and destroyed with it.
    fn create_child(&mut self, child: usize, parent: usize, in_mempool: bool) -> Result<()> {
        let of_mempool = self.live_parent(parent)?.is_mempool;
        ensure!(child != 0, "child 0 is created");
        ensure!(
            in_mempool == of_mempool,
            "child {child}: further children of a mempool cannot be replayed"
        );
        let state = ChildState { state: State::Alive, parent, in_mempool };
        ensure!(self.children.insert(child, state).is_none(), "child {child} exists already");
        if !in_mempool {
            self.calls.push(Call::CreateChild { child, parent });
        }
        Ok(())
    }

    fn live_child(&self, id: usize) -> Result<&ChildState> {
        let child = self.children.get(&id).filter(|child| child.state == State::Alive);
        let child = child.with_context(|| format!("child {id} does not exist"))?;
        self.live_parent(child.parent)?;
        Ok(child)
    }

    fn destroy_no_child(&mut self, child: usize) -> Result<()> {
        ensure!(self.live_child(child).is_err(), "child {child} exists, against the flag");
        self.child_limit = self.child_limit.max(child + 1);
        self.calls.push(Call::DestroyChild { child });
        Ok(())
    }

    fn destroy_child(&mut self, child: usize) -> Result<()> {
        if !self.live_child(child)?.in_mempool {
            self.calls.push(Call::DestroyChild { child });
        }
        if let Some(state) = self.children.get_mut(&child) {
            state.state = State::Gone;
        }
        Ok(())
    }

    fn alloc(&mut self, child: usize, object: usize, zeroed: bool) -> Result<()> {
        let state = self.live_child(child)?;
        let call = match (state.in_mempool, zeroed) {
            (true, false) => Call::AllocSt { mempool: state.parent, object },
            (true, true) => bail!("slab.h has no function for a zeroed object of a mempool"),
            (false, false) => Call::Alloc { child, object },
            (false, true) => Call::Zalloc { child, object },
        };
        ensure!(object < MOST_IDS, "object {object} is out of range");
        let before = self.objects.insert(object, State::Alive);
        ensure!(before.is_none(), "object {object} is allocated twice");
        self.calls.push(call);
        Ok(())
    }

    fn free(&mut self, child: usize, object: usize, dead: bool) -> Result<()> {
        let call = match (self.live_child(child), dead) {
            (Ok(state), false) if state.in_mempool => {
                Call::FreeSt { mempool: state.parent, object }
            }
            (Ok(_), false) | (Err(_), true) => Call::Free { child, object },
            (Ok(_), true) => bail!("child {child} exists, against the flag"),
            (Err(error), false) => return Err(error),
        };
        let before = self.objects.insert(object, State::Gone);
        ensure!(before == Some(State::Alive), "object {object} is freed, but is not there");
        self.child_limit = self.child_limit.max(child + 1);
        self.calls.push(call);
        Ok(())
    }

    pub fn parent_limit(&self) -> usize {
        self.parents.keys().max().map_or(0, |id| id + 1)
    }

    pub fn child_limit(&self) -> usize {
        // Child 0 is what `close` frees through.
        self.children.keys().max().map_or(1, |id| id + 1).max(self.child_limit)
    }

    pub fn object_limit(&self) -> usize {
        self.objects.keys().max().map_or(0, |id| id + 1)
    }

    /// Frees and destroys what is left, the objects through a child that was never created.
    pub fn close(&mut self) {
        let mut objects: Vec<_> =
            self.objects.iter().filter(|(_, state)| **state == State::Alive).collect();
        objects.sort_by_key(|(id, _)| **id);
        self.calls.extend(objects.iter().map(|&(&object, _)| Call::Free { child: 0, object }));

        let mut children: Vec<_> = self
            .children
            .iter()
            .filter(|(id, child)| self.live_child(**id).is_ok() && !child.in_mempool)
            .map(|(&child, _)| child)
            .collect();
        children.sort();
        self.calls.extend(children.iter().map(|&child| Call::DestroyChild { child }));

        let mut parents: Vec<_> =
            self.parents.iter().filter(|(_, parent)| parent.state == State::Alive).collect();
        parents.sort_by_key(|(id, _)| **id);
        self.calls.extend(parents.iter().map(|&(&parent, state)| {
            if state.is_mempool {
                Call::Destroy { mempool: parent }
            } else {
                Call::DestroyParent { parent }
            }
        }));
        self.threads.resize(self.calls.len(), 0);
    }
}
