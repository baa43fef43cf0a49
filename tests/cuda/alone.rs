//! The program on machines that lack what it was built with: NVIDIA's libraries, the build's folder, its own name.

use std::fs;
use std::process::Command;

use super::emulator::expect;
use super::program::SMALL;
use super::shop::{Call, Shop};

const ON_PROCESSOR: [&str; 2] = ["--set", "hardware.device=auto"];

/// A call on a machine without a driver, cuBLAS, a toolkit or Python.
fn without_libraries(shop: &Shop, arguments: &[&str]) -> Call {
    let mut command = shop.command(arguments);
    bare(&mut command).env("HOME", shop.path()).env("RUNNER_DATA_DIR", shop.path().join("corpora"));
    Call::from(command.output().unwrap())
}

fn bare(command: &mut Command) -> &mut Command {
    for name in ["LD_LIBRARY_PATH", "CUDA_PATH", "CUDA_HOME", "CUDA_ROOT", "VIRTUAL_ENV", "CONDA_PREFIX"] {
        command.env_remove(name);
    }
    command.env("PATH", "/bin")
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn the_program_is_linked_with_none_of_nvidias_libraries() {
    let shop = Shop::new();
    let mut command = shop.command(&["--version"]);
    // The loader lists what it would load, and ends.
    let listed = Call::from(command.env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap()).expect(0);
    assert!(listed.stdout.contains("libc.so"), "{}", listed.stdout);
    for library in ["cuda", "cublas", "nvrtc", "nvidia"] {
        assert!(!listed.stdout.contains(library), "{}", listed.stdout);
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn without_a_driver_everything_but_a_gpu_works() {
    let shop = Shop::new();
    shop.write("small.toml", SMALL);
    let planned = without_libraries(&shop, &["plan", "small.toml"]).expect(0);
    assert!(
        planned.stdout.contains("warning: cuda:0: NVIDIA's driver is not installed here"),
        "{}",
        planned.stdout
    );
    let refused = without_libraries(&shop, &["small.toml"]).expect(2);
    let refused =
        refused.says(&["cuda:0", "NVIDIA's driver is not installed here", "libcuda.so.1", "hardware.device"]);
    assert!(!shop.has("runs") && !refused.stderr.contains("panicked"), "{}", refused.stderr);

    without_libraries(&shop, &[&["small.toml"], &ON_PROCESSOR[..]].concat()).expect(0);
    assert!(shop.read("runs/small/seed=1337/manifest.toml").contains("device = \"cpu\""));
    for arguments in [&["ls"][..], &["report", "runs/small/seed=1337"]] {
        without_libraries(&shop, arguments).expect(0);
    }

    let found = without_libraries(&shop, &["doctor"]).expect(0);
    let parts = [
        "no NVIDIA driver is installed",
        "train on the processor",
        "cuBLAS",
        "pip install nvidia-cublas",
        "no problems",
    ];
    for part in parts {
        assert!(found.stdout.contains(part), "{part}: {}", found.stdout);
    }
    let found = without_libraries(&shop, &["doctor", "--json"]).expect(0);
    assert!(found.stdout.contains("no-driver") && found.stdout.contains("no-cublas"), "{}", found.stdout);
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_gpu_without_cublas_is_not_trained_on_and_the_doctor_says_what_to_install() {
    expect();
    let shop = Shop::new();
    shop.write("small.toml", SMALL);
    let driver = folder_with(&shop, "driver", &["libcuda.so.1"]);
    let call = |arguments: &[&str], release: &str| {
        let mut command = shop.command(arguments);
        bare(&mut command).env("LD_LIBRARY_PATH", &driver).env("HOME", shop.path());
        command.env("CUDA_EMULATOR_DRIVER", release).env("RUNNER_DATA_DIR", shop.path().join("corpora"));
        Call::from(command.output().unwrap())
    };
    call(&["small.toml"], "12040").expect(2).says(&["cuda:0", "cuBLAS", "pip install nvidia-cublas-cu12"]);
    let trained = call(&[&["small.toml"], &ON_PROCESSOR[..]].concat(), "13000").expect(0);
    let said = trained.stdout + &trained.stderr + &shop.read("runs/small/seed=1337/log.jsonl");
    assert!(said.contains("there is a GPU, and the run is on the processor"), "{said}");
    assert!(shop.read("runs/small/seed=1337/manifest.toml").contains("device = \"cpu\""));
    let found = call(&["doctor"], "13000").expect(2);
    for part in ["problem  cuBLAS", "`pip install nvidia-cublas`", "cuda:0 Emulated CUDA device 0"] {
        assert!(found.stdout.contains(part), "{part}: {}", found.stdout);
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn cublas_is_found_in_pypis_packages_of_the_active_environment() {
    expect();
    for (packages, file) in [("nvidia/cu13/lib", "libcublas.so.13"), ("nvidia/cublas/lib", "libcublas.so.12")]
    {
        let shop = Shop::new();
        shop.write("small.toml", SMALL);
        let driver = folder_with(&shop, "driver", &["libcuda.so.1"]);
        let place = format!("venv/lib/python3.12/site-packages/{packages}");
        let cublas = folder_with(&shop, &place, &[file, &file.replace("libcublas", "libcublasLt")]);
        let mut command = shop.command(&["small.toml"]);
        bare(&mut command).env("LD_LIBRARY_PATH", &driver).env("VIRTUAL_ENV", shop.path().join("venv"));
        Call::from(command.env("TMPDIR", shop.path()).output().unwrap()).expect(0);
        assert!(shop.read("runs/small/seed=1337/manifest.toml").contains("device = \"cuda:0\""));

        let mut command = shop.command(&["doctor"]);
        bare(&mut command).env("LD_LIBRARY_PATH", &driver).env("VIRTUAL_ENV", shop.path().join("venv"));
        let found = Call::from(command.env("RUNNER_DATA_DIR", shop.path().join("corpora")).output().unwrap());
        let found = found.expect(0);
        assert!(found.stdout.contains(&cublas.join(file).display().to_string()), "{}", found.stdout);
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_copy_under_another_name_trains_as_well() {
    expect();
    let shop = Shop::new();
    shop.write("small.toml", SMALL);
    let copy = shop.path().join("trainer");
    fs::copy(env!("CARGO_BIN_EXE_runner"), &copy).unwrap();
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap();
    let mut command = Command::new(copy);
    bare(command.args(["small.toml"]).current_dir(shop.path()));
    command.env("LD_LIBRARY_PATH", libraries).env("TMPDIR", shop.path());
    Call::from(command.output().unwrap()).expect(0);
    assert!(shop.read("runs/small/seed=1337/manifest.toml").contains("device = \"cuda:0\""));
}

/// A folder in the shop in which the emulator has these names.
fn folder_with(shop: &Shop, folder: &str, names: &[&str]) -> std::path::PathBuf {
    let folder = shop.path().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap();
    let mut libraries = std::env::split_paths(&path).map(|folder| folder.join("libcuda.so.1"));
    let emulator = libraries.find(|library| library.exists()).unwrap();
    for name in names {
        std::os::unix::fs::symlink(fs::canonicalize(&emulator).unwrap(), folder.join(name)).unwrap();
    }
    folder
}
