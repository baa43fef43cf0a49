//! The program on a GPU, through its own binary. The emulator's environment variables make the situations.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::emulator::expect;
use super::shop::{Call, Shop};

/// A model so small that an emulated GPU trains it in a moment, with everything that a run can do.
pub const SMALL: &str = r#"
[model]
n_layer = 1
n_head = 2
n_embd = 8
block_size = 8
dropout = 0.1

[data]
corpus = "salt-crown"
tokenizer = "char"
val_fraction = 0.1

[train]
batch_size = 2
sequence_length = 8
max_steps = 6
eval_interval = 3
eval_batches = 1
final_eval = false

[optimizer]
grad_clip = 1.0

[checkpoint]
interval = 3

[sample]
interval = 6
prompts = ["Maud:"]
max_new_tokens = 4

[hardware]
device = "cuda"
monitor_interval_secs = 0.02
"#;

fn shop() -> Shop {
    expect();
    let shop = Shop::new();
    shop.write("small.toml", SMALL);
    shop
}

/// A call with variables of the emulator.
fn call(shop: &Shop, arguments: &[&str], variables: &[(&str, &str)]) -> Call {
    let mut command = shop.command(arguments);
    set(&mut command, variables);
    // Locks of GPUs lie there: other tests use the same ones.
    command.env("TMPDIR", shop.path());
    Call::from(command.output().unwrap())
}

fn set(command: &mut Command, variables: &[(&str, &str)]) {
    for (name, value) in variables {
        command.env(format!("CUDA_EMULATOR_{name}"), value);
    }
}

fn column(metrics: &str, name: &str) -> Vec<String> {
    let mut lines = metrics.lines();
    let at = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    lines.map(|line| line.split(',').nth(at).unwrap().to_owned()).collect()
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_run_on_a_gpu_is_recorded_and_reported_and_leaves_nothing_on_it() {
    let shop = shop();
    for (dtype, folder) in [("f32", "seed=1337"), ("f16", "seed=1337-2")] {
        let dtype = format!("hardware.dtype={dtype}");
        fs::create_dir(shop.path().join(folder)).unwrap();
        // The parent's, and the run's.
        let reports = format!("{folder}/%p.json");
        call(&shop, &["small.toml", "--set", &dtype], &[("REPORT", &reports)]).expect(0);
        let run = format!("runs/small/{folder}");
        let manifest = shop.read(&format!("{run}/manifest.toml"));
        assert!(
            manifest.contains("device = \"cuda:0\"") && manifest.contains("gpu_memory_bytes"),
            "{manifest}"
        );
        let page = shop.read(&format!("{run}/report.md"));
        assert!(page.contains("Emulated CUDA device 0") && page.contains("cuda:0"), "{page}");
        for file in ["samples.md", "checkpoints/step-000006/model.safetensors", "checkpoints/best"] {
            assert!(shop.has(&format!("{run}/{file}")), "{file}");
        }
        let reports: Vec<String> = fs::read_dir(shop.path().join(folder))
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        assert_eq!(reports.len(), 2);
        assert!(reports.iter().any(|report| report.contains("\"cublas\":{\"cublas")), "{reports:?}");
        for report in reports {
            for part in ["\"live_blocks\":0", "\"abandoned_blocks\":0", "\"poisoned\":null"] {
                assert!(report.contains(part), "{part}: {report}");
            }
        }
    }
    let metrics = shop.read("runs/small/seed=1337-2/metrics.csv");
    let scales = column(&metrics, "loss_scale");
    assert!(scales.iter().skip(1).all(|scale| scale.parse::<f64>().unwrap() >= 1.0), "{metrics}");
    assert!(column(&metrics, "skipped_steps").iter().skip(1).all(|steps| !steps.is_empty()), "{metrics}");
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn the_gpus_numbers_are_recorded_where_nvml_is_and_left_out_where_not() {
    let shop = shop();
    let columns = ["gpu_percent", "gpu_memory_bytes", "gpu_power_watts", "gpu_temperature_celsius"];
    call(&shop, &["small.toml", "--set", "train.max_steps=30"], &[]).expect(0);
    let metrics = shop.read("runs/small/seed=1337/metrics.csv");
    for name in columns {
        let measured: Vec<f64> = column(&metrics, name).iter().filter_map(|x| x.parse().ok()).collect();
        assert!(!measured.is_empty() && measured.iter().all(|x| *x > 0.0), "{name}: {measured:?}");
    }

    // The same libraries without that one.
    let folder = shop.path().join("libraries");
    fs::create_dir(&folder).unwrap();
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap();
    for entry in std::env::split_paths(&path).filter_map(|folder| fs::read_dir(folder).ok()).flatten() {
        let library: PathBuf = entry.unwrap().path();
        let name = library.file_name().unwrap().to_owned();
        if !name.to_string_lossy().starts_with("libnvidia-ml") && !folder.join(&name).exists() {
            std::os::unix::fs::symlink(fs::canonicalize(&library).unwrap(), folder.join(name)).unwrap();
        }
    }
    let mut command = shop.command(&["small.toml"]);
    let without = Call::from(command.env("LD_LIBRARY_PATH", &folder).output().unwrap()).expect(0);
    assert!(!without.stderr.contains("nvml") && !without.stderr.contains("NVML"), "{}", without.stderr);
    let metrics = shop.read("runs/small/seed=1337-2/metrics.csv");
    for name in columns {
        assert!(column(&metrics, name).iter().all(String::is_empty), "{name}: {metrics}");
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn devices_that_cannot_be_used_are_refused_before_anything_starts() {
    let shop = shop();
    let on = |device: &str, variables: &[(&str, &str)]| {
        let device = format!("hardware.device={device}");
        let refused = call(&shop, &["small.toml", "--set", &device], variables).expect(2);
        assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
        assert!(!shop.has("runs"), "{}", refused.stderr);
        refused
    };
    on("cuda", &[("DEVICES", "0")]).says(&["cuda:0", "no CUDA device"]);
    on("cuda:1", &[]).says(&["cuda:1", "cuda:0 (Emulated CUDA device 0)"]);
    on("cuda", &[("BUSY", "0")]).says(&["cuda:0", "busy"]);
    on("cuda", &[("NO_POOLS", "1")]).says(&["cuda:0", "no memory pools"]);
    on("cuda", &[("DRIVER", "11020")]).says(&["11.2", "newer driver"]);
    // Mixed precision without a GPU.
    let sets = ["small.toml", "--set", "hardware.device=auto", "--set", "hardware.dtype=f16"];
    call(&shop, &sets, &[("DEVICES", "0")]).expect(2).says(&["hardware.dtype", "f32"]);
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn auto_takes_the_processor_where_there_is_no_gpu_and_what_needs_one_is_skipped() {
    let shop = shop();
    let none = [("DEVICES", "0")];
    call(&shop, &["small.toml", "--set", "hardware.device=auto"], &none).expect(0);
    assert!(shop.read("runs/small/seed=1337/manifest.toml").contains("device = \"cpu\""));
    let requires = "hardware.requires=[\"cuda\"]";
    let sets = ["small.toml", "--again", "--set", requires, "--set", "hardware.device=auto"];
    let skipped = call(&shop, &sets, &none).expect(0);
    assert!(skipped.stdout.contains("needs a CUDA GPU"), "{}", skipped.stdout);
    call(&shop, &sets, &[]).expect(0);
    assert!(shop.read("runs/small/seed=1337-2/manifest.toml").contains("device = \"cuda:0\""));
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn two_gpus_train_two_runs_at_the_same_time() {
    let shop = shop();
    let start = |device: &str| {
        let name = format!("experiment.name=on-{}", device.replace(':', "-"));
        let device = format!("hardware.device={device}");
        let mut command = shop.command(&["small.toml", "--set", &device, "--set", &name]);
        set(&mut command, &[("DEVICES", "2")]);
        command.env("TMPDIR", shop.path());
        command.spawn().unwrap()
    };
    let mut both = ["cuda:0", "cuda:1"].map(start);
    for run in &mut both {
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    let losses = |device: usize| {
        let run = format!("runs/on-cuda-{device}/seed=1337");
        let page = shop.read(&format!("{run}/report.md"));
        assert!(page.contains(&format!("Emulated CUDA device {device}")), "{page}");
        column(&shop.read(&format!("{run}/metrics.csv")), "train_loss")
    };
    assert_eq!(losses(0), losses(1));
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn every_run_at_a_time_has_a_gpu_of_its_own() {
    let shop = shop();
    let sweep = SMALL.replace("device = \"cuda\"", "device = \"auto\"");
    shop.write("sweep.toml", format!("{sweep}\n[experiment]\nrepeats = 4\n"));
    call(&shop, &["sweep.toml", "--jobs", "auto"], &[("DEVICES", "2")]).expect(0);
    let device = |seed: usize| {
        let manifest: toml::Table =
            shop.read(&format!("runs/sweep/seed={seed}/manifest.toml")).parse().unwrap();
        let attempt = &manifest["attempts"][0];
        let time = |key: &str| attempt[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let device = manifest["device"]["device"].as_str().unwrap().to_owned();
        (device, time("started_at"), time("ended_at"))
    };
    let runs: Vec<_> = (1337..1341).map(device).collect();
    for name in ["cuda:0", "cuda:1"] {
        assert!(runs.iter().any(|(device, ..)| device == name), "{runs:?}");
    }
    for (index, (device, started, ended)) in runs.iter().enumerate() {
        for (other, other_started, other_ended) in &runs[index + 1..] {
            let apart = ended <= other_started || other_ended <= started;
            assert!(device != other || apart, "two runs on {device} at the same time: {runs:?}");
        }
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_run_waits_for_a_gpu_that_another_sweep_has() {
    let shop = shop();
    let start = |name: &str| {
        let name = format!("experiment.name={name}");
        let mut command = shop.command(&["small.toml", "--set", &name]);
        command.env("TMPDIR", shop.path()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let both = ["one", "two"].map(start).map(|child| Call::from(child.wait_with_output().unwrap()).expect(0));
    assert!(both.iter().any(|call| call.stderr.contains("waits: the GPU is taken")), "nobody had to wait");
    for name in ["one", "two"] {
        assert!(shop.read(&format!("runs/{name}/seed=1337/manifest.toml")).contains("device = \"cuda:0\""));
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn memory_that_runs_out_ends_one_run_with_advice_and_not_the_sweep() {
    let shop = shop();
    let sweep = format!("{SMALL}\n[sweep.grid]\ntrain.batch_size = [512, 2]\n");
    shop.write("sweep.toml", sweep);
    let ended = call(&shop, &["sweep.toml"], &[("MEMORY", "4000000")]).expect(4);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(ended.stderr.contains("warning: sweep/batch_size=512"), "{}", ended.stderr);
    let manifest = shop.read("runs/sweep/batch_size=512,seed=1337/manifest.toml");
    for part in [
        "status = \"failed\"",
        "stop_reason = \"out_of_memory\"",
        "out of memory on cuda:0",
        "train.batch_size = ",
        "accumulation_steps",
    ] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
    let small = shop.read("runs/sweep/batch_size=2,seed=1337/manifest.toml");
    assert!(small.contains("status = \"finished\""), "{small}");
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn the_smoke_experiments_say_that_the_losses_agree() {
    let shop = shop();
    for name in ["cuda-smoke", "cuda-smoke-f16"] {
        let file = format!("{}/experiments/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let sets = [
            "model.n_embd=16",
            "train.batch_size=2",
            "train.sequence_length=16",
            "train.max_steps=20",
            "sample.max_new_tokens=2",
            "checkpoint.interval=20",
        ];
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = [file.as_str()].into_iter().chain(sets).collect();
        let agreed = call(&shop, &arguments, &[]).expect(0);
        assert!(agreed.stdout.contains("the losses agree over 20 steps"), "{}", agreed.stdout);
        assert!(shop.read(&format!("reports/{name}.md")).contains("## Agreement"));
    }
}
