use super::*;

const RAX: Memory = at(0, 0);

const fn at(register: u8, displacement: i64) -> Memory {
    Memory { base: Base::Register(register), index: None, scale: 1, displacement }
}

fn assert_decoded(cases: &[(&[u8], Instruction)]) {
    for (code, expected) in cases {
        let mut followed = code.to_vec();
        followed.extend([0x90; 8]);
        assert_eq!(decode(&followed), Some((*expected, code.len())), "{code:02x?}");
    }
}

// The bytes are what GNU as 2.40 makes of the assembly above them.
#[test]
fn instructions_are_what_an_assembler_says() {
    use Instruction::*;
    let cases: &[(&[u8], Instruction)] = &[
        // ldtilecfg [rax]
        (&[0xc4, 0xe2, 0x78, 0x49, 0x00], LoadConfiguration(RAX)),
        // sttilecfg [rsp+8]
        (
            &[0xc4, 0xe2, 0x79, 0x49, 0x44, 0x24, 0x08],
            StoreConfiguration(Memory { base: Base::Register(4), index: None, scale: 1, displacement: 8 }),
        ),
        // tilerelease
        (&[0xc4, 0xe2, 0x78, 0x49, 0xc0], Release),
        // tilezero tmm3
        (&[0xc4, 0xe2, 0x7b, 0x49, 0xd8], ZeroTile(3)),
        // tileloadd tmm4, [r12 + rcx*1]
        (
            &[0xc4, 0xc2, 0x7b, 0x4b, 0x24, 0x0c],
            LoadTile(4, Memory { base: Base::Register(12), index: Some(1), scale: 1, displacement: 0 }),
        ),
        // tileloaddt1 tmm6, [r13 + r14*1 + 1024]
        (
            &[0xc4, 0x82, 0x79, 0x4b, 0xb4, 0x35, 0x00, 0x04, 0x00, 0x00],
            LoadTile(6, Memory { base: Base::Register(13), index: Some(14), scale: 1, displacement: 1024 }),
        ),
        // tilestored [r9 + rdx*2 - 8], tmm7
        (
            &[0xc4, 0xc2, 0x7a, 0x4b, 0x7c, 0x51, 0xf8],
            StoreTile(Memory { base: Base::Register(9), index: Some(2), scale: 2, displacement: -8 }, 7),
        ),
        // tdpbf16ps tmm3, tmm5, tmm7
        (&[0xc4, 0xe2, 0x42, 0x5c, 0xdd], MultiplyTiles(3, 5, 7)),
        // vdpbf16ps zmm1, zmm2, zmm3
        (&[0x62, 0xf2, 0x6e, 0x48, 0x52, 0xcb], MultiplyVectors(1, 2, Source::Register(3))),
        // vdpbf16ps zmm17, zmm10, zmm30
        (&[0x62, 0x82, 0x2e, 0x48, 0x52, 0xce], MultiplyVectors(17, 10, Source::Register(30))),
        // vdpbf16ps zmm9, zmm24, [rsi + 128]
        (
            &[0x62, 0x72, 0x3e, 0x40, 0x52, 0x4e, 0x02],
            MultiplyVectors(
                9,
                24,
                Source::Memory(Memory { base: Base::Register(6), index: None, scale: 1, displacement: 128 }),
            ),
        ),
        // vdpbf16ps zmm9, zmm24, dword ptr [rsi + r8*4 + 8]{1to16}
        (
            &[0x62, 0x32, 0x3e, 0x50, 0x52, 0x4c, 0x86, 0x02],
            MultiplyVectors(
                9,
                24,
                Source::Broadcast(Memory {
                    base: Base::Register(6),
                    index: Some(8),
                    scale: 4,
                    displacement: 8,
                }),
            ),
        ),
        // vdpbf16ps zmm0, zmm1, [rip + 256]
        (
            &[0x62, 0xf2, 0x76, 0x48, 0x52, 0x05, 0x00, 0x01, 0x00, 0x00],
            MultiplyVectors(
                0,
                1,
                Source::Memory(Memory {
                    base: Base::NextInstruction,
                    index: None,
                    scale: 1,
                    displacement: 256,
                }),
            ),
        ),
        // vcvtne2ps2bf16 zmm0, zmm1, zmm0
        (&[0x62, 0xf2, 0x77, 0x48, 0x72, 0xc0], RoundTwo(0, 1, Source::Register(0))),
        // vcvtne2ps2bf16 zmm20, zmm5, [r11 + 4096]
        (
            &[0x62, 0xc2, 0x57, 0x48, 0x72, 0x63, 0x40],
            RoundTwo(
                20,
                5,
                Source::Memory(Memory {
                    base: Base::Register(11),
                    index: None,
                    scale: 1,
                    displacement: 4096,
                }),
            ),
        ),
        // vcvtneps2bf16 ymm18, zmm7
        (&[0x62, 0xe2, 0x7e, 0x48, 0x72, 0xd7], RoundOne(18, Source::Register(7))),
        // vcvtneps2bf16 ymm1, [r12 + 100]
        (
            &[0x62, 0xd2, 0x7e, 0x48, 0x72, 0x8c, 0x24, 0x64, 0x00, 0x00, 0x00],
            RoundOne(
                1,
                Source::Memory(Memory { base: Base::Register(12), index: None, scale: 1, displacement: 100 }),
            ),
        ),
    ];
    assert_decoded(cases);
}

#[test]
fn products_of_bytes_are_what_an_assembler_says() {
    use Instruction::MultiplyBytes;
    let extent = |words, mask| Extent { words, mask };
    let [four, eight] = [4, 8].map(|words| extent(words, Mask::All));
    let indexed = |displacement| Memory { base: Base::Register(6), index: Some(8), scale: 4, displacement };
    let next = Memory { base: Base::NextInstruction, index: None, scale: 1, displacement: 256 };
    let cases: &[(&[u8], Instruction)] = &[
        // vpdpbusd zmm1, zmm2, zmm3
        (&[0x62, 0xf2, 0x6d, 0x48, 0x50, 0xcb], MultiplyBytes(1, 2, Source::Register(3), Extent::WHOLE)),
        // vpdpbusd zmm17, zmm10, zmm30
        (&[0x62, 0x82, 0x2d, 0x48, 0x50, 0xce], MultiplyBytes(17, 10, Source::Register(30), Extent::WHOLE)),
        // vpdpbusd zmm9, zmm24, [rsi + 128]
        (
            &[0x62, 0x72, 0x3d, 0x40, 0x50, 0x4e, 0x02],
            MultiplyBytes(9, 24, Source::Memory(at(6, 128)), Extent::WHOLE),
        ),
        // vpdpbusd zmm9, zmm24, dword ptr [rsi + r8*4 + 8]{1to16}
        (
            &[0x62, 0x32, 0x3d, 0x50, 0x50, 0x4c, 0x86, 0x02],
            MultiplyBytes(9, 24, Source::Broadcast(indexed(8)), Extent::WHOLE),
        ),
        // vpdpbusd zmm0, zmm1, [rip + 256]
        (
            &[0x62, 0xf2, 0x75, 0x48, 0x50, 0x05, 0x00, 0x01, 0x00, 0x00],
            MultiplyBytes(0, 1, Source::Memory(next), Extent::WHOLE),
        ),
        // vpdpbusd zmm5{k3}, zmm6, zmm7
        (
            &[0x62, 0xf2, 0x4d, 0x4b, 0x50, 0xef],
            MultiplyBytes(5, 6, Source::Register(7), extent(16, Mask::Merge(3))),
        ),
        // vpdpbusd zmm5{k7}{z}, zmm6, [r12 + 100]
        (
            &[0x62, 0xd2, 0x4d, 0xcf, 0x50, 0xac, 0x24, 0x64, 0x00, 0x00, 0x00],
            MultiplyBytes(5, 6, Source::Memory(at(12, 100)), extent(16, Mask::Zero(7))),
        ),
        // {evex} vpdpbusd ymm1, ymm2, ymm3
        (&[0x62, 0xf2, 0x6d, 0x28, 0x50, 0xcb], MultiplyBytes(1, 2, Source::Register(3), eight)),
        // vpdpbusd ymm20, ymm5, [r11 + 64]
        (
            &[0x62, 0xc2, 0x55, 0x28, 0x50, 0x63, 0x02],
            MultiplyBytes(20, 5, Source::Memory(at(11, 64)), eight),
        ),
        // vpdpbusd xmm18{k1}, xmm7, [rax + 16]
        (
            &[0x62, 0xe2, 0x45, 0x09, 0x50, 0x50, 0x01],
            MultiplyBytes(18, 7, Source::Memory(at(0, 16)), extent(4, Mask::Merge(1))),
        ),
        // vpdpbusd xmm18{k1}{z}, xmm7, dword ptr [rax + 16]{1to4}
        (
            &[0x62, 0xe2, 0x45, 0x99, 0x50, 0x50, 0x04],
            MultiplyBytes(18, 7, Source::Broadcast(at(0, 16)), extent(4, Mask::Zero(1))),
        ),
        // {vex} vpdpbusd ymm1, ymm2, ymm3
        (&[0xc4, 0xe2, 0x6d, 0x50, 0xcb], MultiplyBytes(1, 2, Source::Register(3), eight)),
        // {vex} vpdpbusd xmm9, xmm12, xmm10
        (&[0xc4, 0x42, 0x19, 0x50, 0xca], MultiplyBytes(9, 12, Source::Register(10), four)),
        // {vex} vpdpbusd ymm9, ymm15, [rsi + r8*4 + 32]
        (
            &[0xc4, 0x22, 0x05, 0x50, 0x4c, 0x86, 0x20],
            MultiplyBytes(9, 15, Source::Memory(indexed(32)), eight),
        ),
        // {vex} vpdpbusd xmm0, xmm1, [rip + 256]
        (
            &[0xc4, 0xe2, 0x71, 0x50, 0x05, 0x00, 0x01, 0x00, 0x00],
            MultiplyBytes(0, 1, Source::Memory(next), four),
        ),
    ];
    assert_decoded(cases);
}

#[test]
fn other_instructions_are_left_alone() {
    let codes: &[&[u8]] = &[
        &[0x0f, 0x0b, 0, 0, 0, 0, 0, 0],
        &[0xc4],
        &[0x62, 0xf2],
        &[],
        // vpdpbusds zmm1, zmm2, zmm3, which saturates; vpdpwssd zmm1, zmm2, zmm3; {vex} vpdpbusds ymm1, ymm2, ymm3
        &[0x62, 0xf2, 0x6d, 0x48, 0x51, 0xcb, 0x90],
        &[0x62, 0xf2, 0x6d, 0x48, 0x52, 0xcb, 0x90],
        &[0xc4, 0xe2, 0x6d, 0x51, 0xcb, 0x90],
        // vdpbf16ps ymm1, ymm2, ymm3; vdpbf16ps zmm1{k1}, zmm2, zmm3
        &[0x62, 0xf2, 0x6e, 0x28, 0x52, 0xcb, 0x90],
        &[0x62, 0xf2, 0x6e, 0x49, 0x52, 0xcb, 0x90],
        // What no processor takes: vpdpbusd of 1024 bits, one that zeroes without a mask, one that broadcasts a register.
        &[0x62, 0xf2, 0x6d, 0x68, 0x50, 0xcb, 0x90],
        &[0x62, 0xf2, 0x6d, 0xc8, 0x50, 0xcb, 0x90],
        &[0x62, 0xf2, 0x6d, 0x58, 0x50, 0xcb, 0x90],
    ];
    for code in codes {
        assert_eq!(decode(code), None, "{code:02x?}");
    }
}
