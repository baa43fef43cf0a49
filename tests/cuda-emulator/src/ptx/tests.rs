use super::*;

const HEADER: &str = ".version 9.0\n.target sm_80\n.address_size 64\n";

fn read(body: &str) -> Result<Module, ParseError> {
    parse(&format!("{HEADER}{body}"))
}

#[test]
fn a_kernel_is_read_with_parameters_registers_and_labels() {
    let module = read(
        ".visible .entry add_one(\n\
         \t.param .u64 add_one_param_0,\n\
         \t.param .align 2 .b8 add_one_param_1[6]\n\
         )\n\
         {\n\
         \t.reg .pred %p<2>;\n\
         \t.reg .b32 %r<3>; // a comment\n\
         \tld.param.u64 %r1, [add_one_param_0+4];\n\
         $L1:\n\
         \t@!%p1 bra $L1;\n\
         \tret;\n\
         }\n",
    )
    .expect("PTX");
    assert_eq!((module.version, module.target.as_str()), ((9, 0), "sm_80"));
    let kernel = &module.functions[0];
    assert!(kernel.is_kernel);
    assert_eq!((kernel.name.as_str(), kernel.registers), ("add_one", 5));
    let sizes: Vec<_> =
        kernel.parameters.iter().map(|parameter| (parameter.bytes, parameter.align)).collect();
    assert_eq!(sizes, [(8, 8), (6, 2)]);
    let load = &kernel.instructions[0];
    let base = Box::new(Operand::Name("add_one_param_0".to_owned()));
    assert_eq!(load.operands, [Operand::Register(3), Operand::Address { base, offset: 4 }]);
    let branch = &kernel.instructions[1];
    assert_eq!(branch.guard, Some(Guard { register: 1, negated: true }));
    assert_eq!(branch.text, "@!%p1 bra $L1;");
    assert_eq!(branch.line, 13);
    assert_eq!(kernel.labels["$L1"], 1);
}

#[test]
fn a_block_may_name_its_registers_like_those_around_it() {
    let module = read(
        ".entry k()\n{\n.reg .b32 %r<2>;\n{\n.reg.b16 %r1, x;\nmov.b16 %r1, x;\n}\nmov.b32 %r1, -2;\n}\n",
    );
    let kernel = &module.expect("PTX").functions[0];
    assert_eq!(kernel.instructions[0].operands, [Operand::Register(2), Operand::Register(3)]);
    assert_eq!(
        kernel.instructions[1].operands,
        [Operand::Register(1), Operand::Immediate(2u64.wrapping_neg())]
    );
}

#[test]
fn numbers_are_the_bits_that_they_stand_for() {
    let numbers = "12, 0x1F, 128U, 0x80000000U, 0f3F800000, 0d3FF0000000000000, -1";
    let module = read(&format!(".entry k()\n{{\nop {numbers};\n}}\n")).expect("PTX");
    let bits: Vec<_> = module.functions[0].instructions[0]
        .operands
        .iter()
        .map(|operand| match operand {
            Operand::Immediate(bits) => *bits,
            other => panic!("{other:?} is not a number"),
        })
        .collect();
    let one = (u64::from(1f32.to_bits()), 1f64.to_bits());
    assert_eq!(bits, [12, 31, 128, 0x8000_0000, one.0, one.1, u64::MAX]);
}

#[test]
fn variables_have_their_sizes_and_first_values() {
    let module = read(
        ".global .align 4 .b8 bytes[6] = {1, 2, 255};\n\
         .const .u32 word = 7;\n\
         .shared .align 8 .f64 buffer[4];\n\
         .extern .shared .align 16 .b8 rest[];\n",
    )
    .expect("PTX");
    assert_eq!(module.globals[0].initial, [1, 2, 255, 0, 0, 0]);
    assert_eq!(module.globals[1].initial, [7, 0, 0, 0]);
    let shared: Vec<_> = module.shared.iter().map(|variable| (variable.bytes, variable.align)).collect();
    assert_eq!(shared, [(32, 8), (0, 16)]);
}

#[test]
fn functions_are_declared_and_called() {
    let module = read(
        ".func (.param .b64 out) twice\n(\n.param .b64 in\n)\n;\n\
         .entry k()\n{\n.param .b64 a;\n.param .b64 b;\ncall.uni (b), \ntwice, \n(\na\n);\n}\n\
         .func (.param .b64 out) twice(\n.param .b64 in\n)\n{\nret;\n}\n",
    )
    .expect("PTX");
    let names: Vec<_> = module.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["k", "twice"], "a declaration is not a function");
    let group = |variable| Operand::Group(vec![Operand::Variable(variable)]);
    let call = &module.functions[0].instructions[0];
    assert_eq!(call.operands, [group(1), Operand::Name("twice".to_owned()), group(0)]);
}

#[test]
fn what_cannot_be_read_is_named_with_its_line() {
    for (body, line, reason) in [
        (".entry k()\n{\n.reg .b128 %r<2>;\n}\n", 6, "`.b128` is not a known type"),
        (".entry k()\n{\nadd.s32 %r1, ;\n}\n", 6, "expected an operand"),
        (".entry k()\n{\nmov.u32 a, 9x;\n}\n", 6, "`9x` is not a number"),
        (".entry k()\n{\nret\n}\n", 7, "expected an operand"),
        (".entry k()\n{\nret;\n", 6, "the text ends too early"),
        (".surface k;\n", 4, "`.surface` is not known here"),
        (".global .b8 x[2] = {1, 2, 3};\n", 4, "more values than the variable holds"),
        (".entry k()\n{\n~\n}\n", 6, "a character that is not PTX"),
    ] {
        let error = read(body).expect_err(body);
        assert_eq!((error.line, error.reason.as_str()), (line, reason), "{body}");
    }
}
