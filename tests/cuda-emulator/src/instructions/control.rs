//! Where a thread goes next, and where it waits.

use super::{Action, Row, Shape};

pub(super) const ROWS: &[&[Row]] = &[&[
    Row { section: "Control Flow: bra", opcodes: "bra bra.uni", shape: Shape::Label, action: Action::Branch },
    Row { section: "Control Flow: call", opcodes: "call call.uni", shape: Shape::Call, action: Action::Call },
    Row { section: "Control Flow: ret", opcodes: "ret", shape: Shape::Nothing, action: Action::Return },
    Row { section: "Miscellaneous: trap", opcodes: "trap", shape: Shape::Nothing, action: Action::Trap },
    Row {
        section: "Parallel Synchronization and Communication: bar",
        opcodes: "bar.sync",
        shape: Shape::Barrier,
        action: Action::Barrier,
    },
]];
