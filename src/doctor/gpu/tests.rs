use super::*;
use crate::doctor::{Diagnosis, Mark};
use crate::monitor::{Inventory, InventoryGpu};

const A100: Version = Version::new(8, 0);
const T4: Version = Version::new(7, 5);

fn gpu(ordinal: usize, name: &str, capability: Version) -> CudaDevice {
    let compute_mode = ComputeMode::Shared;
    CudaDevice { ordinal, name: name.to_owned(), capability, memory_bytes: 16 << 30, compute_mode }
}

/// With code for an A100.
fn kernels_of(toolkit: Version, ptx: Version, capability: Version) -> Kernels {
    Kernels { toolkit, ptx, capability, compiled: vec![A100] }
}

/// A machine with one A100 on which all is well.
fn healthy() -> Gpus {
    let version = Version::new(13, 0);
    let kernels = kernels_of(version, Version::new(7, 8), T4);
    let inventory = Inventory { driver: Some("580.65".to_owned()), cuda: Some((13, 0)), gpus: Vec::new() };
    let facts = vec![
        Fact::Inventory(inventory),
        Fact::Driver { version },
        Fact::Device(gpu(0, "NVIDIA A100", A100)),
        Fact::Library {
            name: "cuBLAS".to_owned(),
            opened: "/opt/venv/nvidia/cu13/lib/libcublas.so.13".into(),
            version: Some("13.0.2".to_owned()),
        },
    ];
    let differences = vec![("matrix product".to_owned(), 1.2e-7)];
    let computed =
        vec![Fact::Opened { free: 15 << 30, total: 16 << 30 }, Fact::Computed { secs: 1.5, differences }];
    Gpus {
        built_with_cuda: true,
        kernels: Some(kernels),
        visible: None,
        nvidia_smi: true,
        kernel_module: true,
        look: Answer { facts, death: None },
        computed: vec![(0, Answer { facts: computed, death: None })],
    }
}

/// [`healthy`], with the fact that `is` picks out changed.
fn changed(is: impl Fn(&Fact) -> bool, new: Fact) -> Gpus {
    let mut gpus = healthy();
    let fact = gpus.look.facts.iter_mut().find(|fact| is(fact)).expect("the healthy machine has such a fact");
    *fact = new;
    gpus
}

fn findings(gpus: &Gpus) -> Vec<Finding> {
    sections(gpus).into_iter().flat_map(|section| section.findings).collect()
}

/// The only problem, with its mend.
#[track_caller]
fn problem_of(gpus: &Gpus) -> String {
    let problems: Vec<Finding> = findings(gpus).into_iter().filter(|one| one.mark == Mark::Problem).collect();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    format!("{} -> {}", problems[0].text, problems[0].mend.as_deref().expect("every problem has a mend"))
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
}

#[test]
fn a_healthy_machine_is_all_well() {
    let findings = findings(&healthy());
    assert!(findings.iter().all(|one| one.mark == Mark::Ok), "{findings:#?}");
    let text: Vec<&str> = findings.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(
        text,
        [
            "driver 580.65: runs programs of CUDA 13.0 and older",
            "cuBLAS 13.0.2: /opt/venv/nvidia/cu13/lib/libcublas.so.13",
            "for compute capability 7.5 and newer, with drivers for CUDA 11.8 and newer; code for 8.0 (compiled by CUDA 13.0, PTX 7.8)",
            "cuda:0 NVIDIA A100: compute capability 8.0, 15.0 GiB free of 16.0 GiB",
            "cuda:0 computes what the processor does (matrix product 1e-7), in 1.5 s",
        ]
    );
}

#[test]
fn a_driver_that_is_older_than_the_kernels_language_is_a_problem() {
    let older = Fact::Driver { version: Version::new(11, 4) };
    let mut gpus = changed(|fact| matches!(fact, Fact::Driver { .. }), older);
    gpus.computed.clear();
    let text = problem_of(&gpus);
    assert_says(&text, &["CUDA up to 11.4", "need 11.8 -> install a newer driver"]);
}

#[test]
fn kernels_for_a_newer_device_than_there_is_are_a_problem() {
    let volta = Fact::Device(gpu(0, "Tesla V100", Version::new(7, 0)));
    let mut gpus = changed(|fact| matches!(fact, Fact::Device(_)), volta);
    gpus.computed.clear();
    assert_says(
        &problem_of(&gpus),
        &["Tesla V100 has compute capability 7.0", "-> build again with `RUNNER_CUDA_ARCHITECTURES=70"],
    );
}

/// The only note.
#[track_caller]
fn note_of(gpus: &Gpus) -> String {
    let notes: Vec<Finding> = findings(gpus).into_iter().filter(|one| one.mark != Mark::Ok).collect();
    assert_eq!((notes.len(), notes[0].mark), (1, Mark::Note), "{notes:#?}");
    format!("{} -> {}", notes[0].text, notes[0].mend.as_deref().unwrap_or_default())
}

#[test]
fn kernels_that_the_driver_has_to_translate_are_a_note() {
    let newer = Fact::Device(gpu(0, "NVIDIA H100", Version::new(9, 0)));
    assert_says(
        &note_of(&changed(|fact| matches!(fact, Fact::Device(_)), newer)),
        &["cuda:0: the driver translates"],
    );
    let older = Fact::Driver { version: Version::new(12, 4) };
    assert_says(
        &note_of(&changed(|fact| matches!(fact, Fact::Driver { .. }), older)),
        &["cuda:0: the driver translates"],
    );
}

#[test]
fn a_machine_without_a_driver_is_well_and_is_told_what_it_lacks() {
    let mut gpus = Gpus { kernel_module: false, nvidia_smi: false, ..healthy() };
    gpus.computed.clear();
    gpus.look.facts = vec![
        Fact::NoInventory { reason: "no file".to_owned() },
        Fact::NoDriver { reason: "libcuda.so.1: no such file".to_owned() },
        Fact::NoCublas { reason: "libcublas.so.13: no such file".to_owned() },
    ];
    let found = findings(&gpus);
    assert!(found.iter().all(|one| one.mark != Mark::Problem), "{found:#?}");
    let text = found.iter().map(|one| format!("{} -> {}", one.text, one.mend.as_deref().unwrap_or_default()));
    let text = text.collect::<Vec<_>>().join("\n");
    assert_says(
        &text,
        &["libcuda.so.1: no such file", "train on the processor", "cuBLAS", "`pip install nvidia-cublas`"],
    );
    assert!(!text.contains("NVML") && !text.contains("nvidia-smi"), "{text}");
    // With the driver's kernel module loaded it is broken.
    gpus.kernel_module = true;
    assert_says(&problem_of(&gpus), &["its library for CUDA was not found: libcuda.so.1", "--gpus all"]);
}

#[test]
fn a_missing_cublas_is_a_problem_with_the_package_for_the_driver() {
    let missing = Fact::NoCublas { reason: "libcublas.so.12: no such file".to_owned() };
    let mut gpus = changed(|fact| matches!(fact, Fact::Library { .. }), missing);
    gpus.computed.clear();
    assert_says(&problem_of(&gpus), &["cuBLAS", "libcublas.so.12", "`pip install nvidia-cublas`"]);
    gpus.look.facts[1] = Fact::Driver { version: Version::new(12, 4) };
    assert_says(&problem_of(&gpus), &["`pip install nvidia-cublas-cu12`"]);
}

#[test]
fn no_device_is_a_problem_in_a_binary_with_cuda() {
    let reason = CudaProblem::NoDevice { visible: Some(String::new()) }.to_string();
    let mut gpus = changed(|fact| matches!(fact, Fact::Device(_)), Fact::Unusable { reason });
    gpus.computed.clear();
    gpus.nvidia_smi = false;
    assert_says(
        &problem_of(&gpus),
        &["there is no CUDA device (CUDA_VISIBLE_DEVICES=\"\"", "-> see whether `nvidia-smi`"],
    );
    assert!(findings(&gpus).iter().any(|one| one.text.contains("not on the PATH")));
}

#[test]
fn a_driver_that_kills_who_asks_it_is_reported_with_its_last_words() {
    let mut gpus = healthy();
    gpus.look =
        Answer { facts: Vec::new(), death: Some("was ended by signal 6 SIGABRT: NVRM: oops".to_owned()) };
    gpus.computed.clear();
    assert_says(
        &problem_of(&gpus),
        &["the process that asked the driver was ended by signal 6 SIGABRT: NVRM: oops"],
    );
}

#[test]
fn a_computation_that_dies_does_not_hide_what_came_before() {
    let mut gpus = healthy();
    let answer = &mut gpus.computed[0].1;
    answer.facts.truncate(1);
    answer.death = Some("gave no answer in 180 s".to_owned());
    assert_says(&problem_of(&gpus), &["cuda:0: the process that computed on it gave no answer in 180 s"]);
    assert!(findings(&gpus).iter().any(|one| one.text.contains("15.0 GiB free")));
}

#[test]
fn a_wrong_result_is_a_problem() {
    let mut gpus = healthy();
    gpus.computed[0].1.facts[1] =
        Fact::Unusable { reason: "sum: the device's result differs; do not use it".to_owned() };
    assert_says(&problem_of(&gpus), &["cuda:0: sum: the device's result differs -> do not use it"]);
}

#[test]
fn a_device_that_is_taken_or_closed_says_so() {
    let mut gpus = healthy();
    gpus.computed[0].1.facts[0] = Fact::Opened { free: 4 << 30, total: 16 << 30 };
    assert!(findings(&gpus).iter().any(|one| one.text.contains("12.0 GiB of its memory is taken")));
    let closed = CudaDevice { compute_mode: ComputeMode::Prohibited, ..gpu(0, "NVIDIA A100", A100) };
    let gpus = changed(|fact| matches!(fact, Fact::Device(_)), Fact::Device(closed));
    assert_says(&problem_of(&gpus), &["\"prohibited\"", "nvidia-smi --compute-mode=0"]);
}

#[test]
fn a_missing_management_library_is_a_note() {
    let gpus = changed(
        |fact| matches!(fact, Fact::Inventory(_)),
        Fact::NoInventory { reason: "no file".to_owned() },
    );
    let findings = findings(&gpus);
    let note = findings.iter().find(|one| one.mark != Mark::Ok).expect("a note");
    assert_eq!(note.mark, Mark::Note);
    assert_says(&note.text, &["no NVML (no file)", "gpu_*"]);
}

#[test]
fn a_gpu_that_this_binary_cannot_use_comes_with_how_to_build() {
    let build = |capability: (u32, u32)| {
        let gpu =
            InventoryGpu { name: "Some GPU".to_owned(), capability: Some(capability), memory_bytes: None };
        let inventory = Inventory { driver: None, cuda: Some((12, 4)), gpus: vec![gpu] };
        let look = Answer { facts: vec![Fact::Inventory(inventory)], death: None };
        let found = findings(&Gpus { look, nvidia_smi: true, ..Gpus::default() });
        assert_eq!((found.len(), found[0].mark), (1, Mark::Note));
        found[0].mend.clone().unwrap_or_default()
    };
    assert_says(&build((8, 9)), &["`nvcc`", "`cargo build --release --features cuda`"]);
    assert_says(&build((7, 0)), &["RUNNER_CUDA_ARCHITECTURES=70"]);
}

#[test]
fn a_machine_without_a_gpu_is_well_for_a_binary_without_cuda() {
    let look = Answer { facts: vec![Fact::NoInventory { reason: "no file".to_owned() }], death: None };
    let found = findings(&Gpus { look, ..Gpus::default() });
    assert_eq!((found.len(), found[0].mark), (1, Mark::Note));
}

#[test]
fn problems_and_notes_are_counted() {
    let mut gpus = healthy();
    gpus.computed[0].1.death = Some("ended with code 101".to_owned());
    let places = crate::doctor::Places { runs_dir: std::env::temp_dir(), reports_dir: std::env::temp_dir() };
    let diagnosis = Diagnosis::new(&places, gpus);
    let marks = diagnosis.sections.iter().flat_map(|section| &section.findings).map(|one| one.mark);
    let marks: Vec<Mark> = marks.collect();
    assert!(diagnosis.problems >= 1);
    assert_eq!(diagnosis.problems, marks.iter().filter(|&&mark| mark == Mark::Problem).count());
    assert_eq!(diagnosis.notes, marks.iter().filter(|&&mark| mark == Mark::Note).count());
}
