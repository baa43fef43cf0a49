use super::*;
use crate::ptx::parse;

/// A machine with one buffer, whose address is the kernel's parameter.
struct Bench {
    memory: Memory,
    buffer: u64,
}

const BYTES: usize = 256;

impl Bench {
    fn new() -> Self {
        let mut memory = Memory::default();
        let buffer = memory.allocate(0, BYTES).expect("room");
        Bench { memory, buffer }
    }

    /// Runs the body of a kernel whose buffer's address is in `%rd0`, on `blocks` of `threads`.
    fn run(&mut self, body: &str, blocks: u32, threads: u32) -> Result<u64, Box<Failure>> {
        let text = format!(
            ".version 9.0\n.target sm_80\n.address_size 64\n.entry kernel(.param .u64 buffer)\n{{\n\
             .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .f32 %f<8>;\n\
             ld.param.u64 %rd0, [buffer];\n{body}\n}}\n"
        );
        self.run_module(&text, blocks, threads)
    }

    fn run_module(&mut self, text: &str, blocks: u32, threads: u32) -> Result<u64, Box<Failure>> {
        let module = parse(text).unwrap_or_else(|error| panic!("{error}"));
        let kernels = decode(&module, &[].into());
        let program = kernels.by_name["kernel"];
        assert_eq!(kernels.refusals(program), [""; 0]);
        let task = Launch {
            kernels: &kernels,
            program,
            device: 0,
            grid: [blocks, 1, 1],
            block: [threads, 1, 1],
            shared_bytes: 0,
            parameters: &self.buffer.to_le_bytes(),
        };
        launch(&mut self.memory, &task)
    }

    fn words(&mut self) -> Vec<u32> {
        let bytes = self.memory.bytes(0, self.buffer, BYTES).expect("allocated");
        bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn fault(&mut self, body: &str) -> Failure {
        *self.run(body, 2, 4).expect_err("the kernel does something wrong")
    }
}

/// `%r0` the thread, `%r1` the block, `%rd1` the address of the thread's word.
const OWN_WORD: &str = "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x;\n\
     mad.lo.s32 %r3, %r1, %r2, %r0; mul.wide.u32 %rd1, %r3, 4; add.s64 %rd1, %rd0, %rd1;";

#[test]
fn each_thread_knows_its_place() {
    let mut bench = Bench::new();
    let body = format!(
        "{OWN_WORD} mov.u32 %r4, %nctaid.x; mad.lo.s32 %r4, %r4, 1000, %r3; st.global.u32 [%rd1], %r4; ret;"
    );
    let executed = bench.run(&body, 3, 5).expect("runs");
    assert_eq!(executed, 15 * 11);
    let words = bench.words();
    assert_eq!(words[..15], (3000..3015).collect::<Vec<_>>());
    assert_eq!(words[15], u32::MAX, "what nobody wrote is NaN");
}

#[test]
fn guards_and_branches_choose_the_way() {
    let mut bench = Bench::new();
    // Counts down from the thread's number; odd threads add 100.
    let body = format!(
        "{OWN_WORD} mov.u32 %r4, 0; mov.u32 %r5, %r0;\n\
         $loop: setp.eq.s32 %p0, %r5, 0; @%p0 bra $done; add.s32 %r4, %r4, %r5; sub.s32 %r5, %r5, 1; bra.uni $loop;\n\
         $done: and.b32 %r6, %r0, 1; setp.eq.s32 %p1, %r6, 1; @!%p1 bra $store; add.s32 %r4, %r4, 100;\n\
         $store: st.global.u32 [%rd1], %r4;"
    );
    bench.run(&body, 1, 6).expect("runs");
    assert_eq!(bench.words()[..6], [0, 101, 3, 106, 10, 115]);
}

#[test]
fn threads_wait_for_each_other_at_a_barrier() {
    let mut bench = Bench::new();
    // Each thread reads what the next one wrote before the barrier; thread 3 ends early and is not waited for.
    let body = format!(
        ".shared .align 4 .b8 board[16];\n{OWN_WORD}\n\
         shl.b32 %r4, %r0, 2; mov.u32 %r5, board; add.s32 %r4, %r4, %r5; add.s32 %r6, %r0, 10; st.shared.u32 [%r4], %r6;\n\
         setp.eq.s32 %p0, %r0, 3; @%p0 bra $end; bar.sync 0;\n\
         ld.shared.u32 %r7, [%r4+4]; st.global.u32 [%rd1], %r7; $end: ret;"
    );
    bench.run(&body, 2, 4).expect("runs");
    assert_eq!(bench.words()[..8], [11, 12, 13, u32::MAX, 11, 12, 13, u32::MAX]);
}

#[test]
fn threads_at_different_barriers_are_a_failure() {
    let body =
        format!("{OWN_WORD} setp.lt.u32 %p0, %r0, 2; @%p0 bra $a; bar.sync 0; ret; $a: bar.sync 0; ret;");
    let failure = Bench::new().fault(&body);
    assert!(matches!(failure.fault, Fault::DivergentBarrier { .. }), "{failure}");
    assert_eq!(failure.thread, [2, 0, 0]);
}

#[test]
fn shared_memory_is_fresh_in_each_block() {
    let mut bench = Bench::new();
    let body = format!(
        ".shared .align 4 .b8 board[4];\n{OWN_WORD} mov.u32 %r5, board; ld.shared.u32 %r6, [%r5];\n\
         st.global.u32 [%rd1], %r6; st.shared.u32 [%r5], 5; bar.sync 0; ret;"
    );
    bench.run(&body, 3, 1).expect("runs");
    assert_eq!(bench.words()[..3], [u32::MAX; 3]);
}

#[test]
fn an_access_out_of_bounds_says_where_and_who() {
    let mut bench = Bench::new();
    let body = format!("{OWN_WORD} st.global.u32 [%rd1+240], %r0; ret;");
    let failure = bench.fault(&body);
    assert!(
        matches!(failure.fault, Fault::OutOfBounds { access: Access::Write, space: "global", bytes: 4, .. }),
        "{failure}"
    );
    assert_eq!((failure.block, failure.thread), ([1, 0, 0], [0, 0, 0]), "16 bytes are left: four threads");
    let text = failure.to_string();
    assert!(
        text.contains("st.global.u32 [%rd1+240], %r0")
            && text.contains("byte 256 of an allocation of 256 bytes"),
        "{text}"
    );
}

#[test]
fn every_space_has_bounds_and_alignment() {
    for (body, misaligned, space) in [
        ("ld.global.u32 %r0, [%rd0+-4]; ret;", false, "global"),
        ("mov.u64 %rd1, 0; ld.global.u64 %rd2, [%rd1]; ret;", false, "global"),
        ("ld.global.u64 %rd2, [%rd0+4]; ret;", true, "global"),
        ("ld.global.v2.f32 {%f0, %f1}, [%rd0+4]; ret;", true, "global"),
        ("atom.global.add.f32 %f0, [%rd0+256], 0f3F800000; ret;", false, "global"),
        (".shared .align 4 .b8 s[8]; mov.u32 %r0, s; st.shared.u32 [%r0+8], 1; ret;", false, "shared"),
        (".shared .align 4 .b8 s[8]; mov.u32 %r0, s; st.shared.u32 [%r0+-4], 1; ret;", false, "shared"),
        (".shared .align 4 .b8 s[8]; mov.u32 %r0, s; st.shared.u32 [%r0+2], 1; ret;", true, "shared"),
        (".local .align 8 .b8 l[16]; mov.u64 %rd1, l; ld.local.u64 %rd2, [%rd1+16]; ret;", false, "local"),
        (".local .align 8 .b8 l[16]; mov.u64 %rd1, l; ld.local.u64 %rd2, [%rd1+4]; ret;", true, "local"),
    ] {
        let failure = Bench::new().fault(body);
        let found = match failure.fault {
            Fault::OutOfBounds { space, .. } => (false, space),
            Fault::Misaligned { space, .. } => (true, space),
            ref other => panic!("{body}: {other}"),
        };
        assert_eq!(found, (misaligned, space), "{body}");
    }
}

#[test]
fn freed_memory_and_that_of_another_device_are_out_of_bounds() {
    let mut bench = Bench::new();
    let freed = bench.memory.allocate(0, 8).expect("room");
    assert_eq!(bench.memory.free(0, freed), Some(8));
    let other = bench.memory.allocate(1, 8).expect("room");
    for (address, why) in [(freed, "was freed"), (other, "belongs to device 1")] {
        bench.buffer = address;
        let failure = bench.fault("ld.global.u32 %r0, [%rd0]; ret;");
        assert!(failure.to_string().contains(why), "{failure}");
    }
}

#[test]
fn local_memory_is_each_threads_own() {
    let mut bench = Bench::new();
    let body = format!(
        ".local .align 8 .b8 l[8];\n{OWN_WORD} mov.u64 %rd2, l; ld.local.u32 %r4, [%rd2]; st.local.u32 [%rd2], %r0;\n\
         bar.sync 0; ld.local.u32 %r5, [%rd2]; sub.s32 %r6, %r5, %r4; st.global.u32 [%rd1], %r6; ret;"
    );
    bench.run(&body, 1, 4).expect("runs");
    // What was there before is all ones: minus one.
    assert_eq!(bench.words()[..4], [1, 2, 3, 4]);
}

#[test]
fn functions_take_and_give_back() {
    let mut bench = Bench::new();
    let text = ".version 9.0\n.target sm_80\n.address_size 64\n\
        .func (.param .b64 out) plus(.param .b32 a, .param .b64 b)\n{\n.reg .b64 %rd<4>;\n\
        ld.param.u32 %rd0, [a]; ld.param.u64 %rd1, [b]; add.s64 %rd2, %rd0, %rd1; st.param.b64 [out+0], %rd2; ret;\n}\n\
        .entry kernel(.param .u64 buffer)\n{\n.reg .b64 %rd<4>;\nld.param.u64 %rd0, [buffer];\n{\n\
        .param .b32 x; st.param.b32 [x+0], 40; .param .b64 y; st.param.b64 [y+0], 2; .param .b64 z;\n\
        call.uni (z), plus, (x, y); ld.param.u64 %rd1, [z+0];\n}\nst.global.u64 [%rd0], %rd1;\nret;\n}\n";
    let executed = bench.run_module(text, 1, 1).expect("runs");
    assert_eq!(bench.words()[0], 42);
    assert_eq!(executed, 7 + 5, "what the function did counts");
}

#[test]
fn endless_recursion_is_a_failure() {
    let text = ".version 9.0\n.target sm_80\n.address_size 64\n.func again()\n{\ncall.uni again;\nret;\n}\n\
        .entry kernel(.param .u64 buffer)\n{\ncall.uni again;\nret;\n}\n";
    let failure = Bench::new().run_module(text, 1, 1).expect_err("it never ends");
    assert_eq!(failure.fault, Fault::CallsTooDeep);
}

#[test]
fn a_failed_assertion_says_which() {
    let mut bench = Bench::new();
    // The message and the file's name are in the buffer.
    let text = b"index < size\0select.cu\0";
    bench.memory.bytes(0, bench.buffer, text.len()).expect("allocated").copy_from_slice(text);
    let failure = bench.fault(
        "add.s64 %rd1, %rd0, 13;\n{\n.param .b64 a; st.param.b64 [a+0], %rd0; .param .b64 b; st.param.b64 [b+0], %rd1;\n\
         .param .b32 c; st.param.b32 [c+0], 33; .param .b64 d; .param .b64 e;\n\
         call.uni __assertfail, (a, b, c, d, e);\n}\nret;",
    );
    assert_eq!(failure.fault, Fault::Assertion("assertion `index < size` failed at select.cu:33".to_owned()));
}

#[test]
fn memory_is_filled_with_nan_and_addresses_rest() {
    let mut memory = Memory::default();
    let first = memory.allocate(0, 4).expect("room");
    let float = memory.bytes(0, first, 4).expect("allocated").first_chunk().copied().expect("four bytes");
    assert!(f32::from_le_bytes(float).is_nan());
    assert_eq!(memory.free(0, first + 1), None, "only whole allocations are freed");
    assert_eq!(memory.free(1, first), None, "only by their device");
    assert_eq!(memory.free(0, first), Some(4));
    assert_eq!(memory.free(0, first), None, "only once");
    let second = memory.allocate(0, 4).expect("room");
    assert_ne!(first, second, "an old address is not valid again at once");
    assert_eq!(memory.device(first), None);
}
