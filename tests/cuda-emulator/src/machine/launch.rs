//! A grid of blocks of threads.

use super::program::{Kernels, Program};
use super::thread::{Cursor, Stop, run};
use super::{Failure, Fault, Memory, Spaces};

/// What is to be launched.
#[derive(Clone, Copy)]
pub struct Launch<'a> {
    pub kernels: &'a Kernels,
    /// Which of the kernels' programs.
    pub program: usize,
    pub device: usize,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Shared memory on top of the kernel's own.
    pub shared_bytes: usize,
    /// The kernel's parameters as they lie in its parameter space.
    pub parameters: &'a [u8],
}

/// Runs a kernel to its end and gives the number of PTX instructions that were executed.
///
/// # Errors
/// The first thing that a thread does wrong. What was written before stays written.
pub fn launch(memory: &mut Memory, launch: &Launch<'_>) -> Result<u64, Box<Failure>> {
    let program = &launch.kernels.programs[launch.program];
    let [width, height, depth] = launch.block;
    let mut running = Running {
        memory,
        launch,
        program,
        threads: (width * height * depth) as usize,
        shared: vec![0; program.shared_bytes + launch.shared_bytes],
        local: Vec::new(),
        params: vec![0; program.param_bytes.max(launch.parameters.len())],
        registers: Vec::new(),
        executed: 0,
    };
    running.params[..launch.parameters.len()].copy_from_slice(launch.parameters);
    for z in 0..launch.grid[2] {
        for y in 0..launch.grid[1] {
            for x in 0..launch.grid[0] {
                running.block([x, y, z])?;
            }
        }
    }
    Ok(running.executed)
}

/// A launch on its way.
struct Running<'a> {
    memory: &'a mut Memory,
    launch: &'a Launch<'a>,
    program: &'a Program,
    threads: usize,
    shared: Vec<u8>,
    /// Of all threads if they wait for each other, else of one.
    local: Vec<u8>,
    /// Threads share one: only their calls write here, and nothing waits during a call.
    params: Vec<u8>,
    /// Of all threads if they wait for each other, else of one.
    registers: Vec<u64>,
    executed: u64,
}

impl Running<'_> {
    fn block(&mut self, block: [u32; 3]) -> Result<(), Box<Failure>> {
        // Shared memory that is read before it is written shows: as a float it is NaN.
        self.shared.fill(0xff);
        if self.program.has_barrier { self.together(block) } else { self.one_by_one(block) }
    }

    /// The index of a thread in its block, from its number.
    fn index(&self, thread: usize) -> [u32; 3] {
        let [width, height, _] = self.launch.block;
        let thread = thread as u32;
        [thread % width, thread / width % height, thread / (width * height)]
    }

    /// Sets the special registers.
    fn special(&self, registers: &mut [u64], thread: usize, block: [u32; 3]) {
        let specials = [self.index(thread), self.launch.block, block, self.launch.grid];
        for (register, special) in registers.iter_mut().zip(specials.as_flattened()) {
            *register = u64::from(*special);
        }
    }

    /// Without barriers a thread runs to its end before the next begins, and one register file does for all. What the
    /// one before left there is never read: registers are written first.
    fn one_by_one(&mut self, block: [u32; 3]) -> Result<(), Box<Failure>> {
        let mut registers = std::mem::take(&mut self.registers);
        let mut local = std::mem::take(&mut self.local);
        registers.clone_from(&self.program.registers);
        local.resize(self.program.local_bytes, 0);
        for thread in 0..self.threads {
            self.special(&mut registers, thread, block);
            local.fill(0xff);
            let mut cursor = Cursor { at: 0, executed: 0 };
            self.run(block, thread, &mut registers, &mut local, &mut cursor)?;
        }
        (self.registers, self.local) = (registers, local);
        Ok(())
    }

    /// All threads run to the barrier, then all go on. Threads that have ended are not waited for.
    fn together(&mut self, block: [u32; 3]) -> Result<(), Box<Failure>> {
        let size = self.program.registers.len();
        let local_bytes = self.program.local_bytes;
        let mut registers = std::mem::take(&mut self.registers);
        let mut local = std::mem::take(&mut self.local);
        registers.resize(size * self.threads, 0);
        local.resize(local_bytes * self.threads, 0);
        local.fill(0xff);
        for (thread, registers) in registers.chunks_exact_mut(size).enumerate() {
            registers.copy_from_slice(&self.program.registers);
            self.special(registers, thread, block);
        }
        let mut waiting: Vec<(usize, usize)> = (0..self.threads).map(|thread| (thread, 0)).collect();
        while !waiting.is_empty() {
            let mut next: Vec<(usize, usize)> = Vec::with_capacity(waiting.len());
            for &(thread, at) in &waiting {
                let mut cursor = Cursor { at, executed: 0 };
                let registers = &mut registers[size * thread..][..size];
                let local = &mut local[local_bytes * thread..][..local_bytes];
                if self.run(block, thread, registers, local, &mut cursor)? == Stop::Barrier {
                    if let Some(&(_, other)) = next.first()
                        && other != cursor.at
                    {
                        let other = self.source(other).0.clone();
                        return Err(self.failure(
                            Fault::DivergentBarrier { other },
                            block,
                            thread,
                            cursor.at,
                        ));
                    }
                    next.push((thread, cursor.at));
                }
            }
            waiting = next;
        }
        (self.registers, self.local) = (registers, local);
        Ok(())
    }

    fn run(
        &mut self,
        block: [u32; 3],
        thread: usize,
        registers: &mut [u64],
        local: &mut [u8],
        cursor: &mut Cursor,
    ) -> Result<Stop, Box<Failure>> {
        let mut spaces = Spaces {
            memory: self.memory,
            device: self.launch.device,
            shared: &mut self.shared,
            local,
            params: &mut self.params,
        };
        let stop = run(self.launch.kernels, self.program, registers, &mut spaces, cursor, 0);
        self.executed += cursor.executed;
        stop.map_err(|fault| self.failure(*fault, block, thread, cursor.at))
    }

    /// Text and line of the step before `at`.
    fn source(&self, at: usize) -> &(String, usize) {
        let source = self.program.steps[at.saturating_sub(1)].source;
        &self.program.sources[source as usize]
    }

    fn failure(&self, mut fault: Fault, block: [u32; 3], thread: usize, at: usize) -> Box<Failure> {
        let (instruction, line) = self.source(at).clone();
        if let Fault::OutOfBounds { address, nearest, .. } = &mut fault
            && nearest.is_empty()
        {
            *nearest = self.memory.describe(self.launch.device, *address);
        }
        let kernel = self.program.name.clone();
        Box::new(Failure { fault, kernel, block, thread: self.index(thread), instruction, line })
    }
}
