mod shapes;

use std::path::Path;

use dfdx::prelude::*;
use safetensors::tensor::{Dtype as FileDtype, TensorView, serialize};

use super::params::{Parameter, Visit};
use super::shards::WeightBytes;
use super::tensor_file::TensorFileError;
use super::weights::{WeightSizes, check_first_weights, read_first_weights, read_weights, write_weights};
use super::{Gpt, ModelConfig};
use crate::ops::Hits;

const CONFIG: ModelConfig =
    ModelConfig { n_layer: 1, n_head: 2, n_embd: 4, block_size: 6, vocab_size: 5, bias: true };

fn model(config: ModelConfig, seed: u64) -> Gpt<f32, Cpu> {
    Gpt::try_build(config, &Cpu::default(), seed).unwrap()
}

fn parameters<E: Dtype>(gpt: &Gpt<E, Cpu>) -> Vec<(Parameter, Vec<E>)> {
    struct Collect<E>(Vec<(Parameter, Vec<E>)>);
    impl<E: Dtype> Visit<E, Cpu> for Collect<E> {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(&mut self, p: &Parameter, tensor: &Tensor<S, E, Cpu>) -> Result<(), Self::Err> {
            assert_eq!(tensor.shape().concrete().into_iter().collect::<Vec<usize>>(), p.shape, "{}", p.name);
            self.0.push((p.clone(), tensor.as_vec()));
            Ok(())
        }
    }
    let mut collect = Collect(Vec::new());
    let Ok(()) = gpt.visit(&mut collect);
    collect.0
}

/// Name, dtype, shape and bytes of a tensor to be written.
type Raw = (String, FileDtype, Vec<usize>, Vec<u8>);

/// The model's tensors as f32, under names made by `rename`.
fn raw(gpt: &Gpt<f32, Cpu>, rename: impl Fn(&str) -> String) -> Vec<Raw> {
    let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let entry = |(p, values): &(Parameter, Vec<f32>)| {
        (rename(&p.name), FileDtype::F32, p.shape.clone(), bytes(values))
    };
    parameters(gpt).iter().map(entry).collect()
}

fn write_raw(path: &Path, tensors: &[Raw]) {
    let view = |(name, dtype, shape, bytes): &'_ Raw| (name.clone(), *dtype, shape.clone(), bytes.clone());
    let owned: Vec<Raw> = tensors.iter().map(view).collect();
    let views = owned.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, serialize(views, None).unwrap()).unwrap();
}

/// The error of reading these tensors into a model of [`CONFIG`], which stays as it was.
fn refusal(tensors: &[Raw]) -> TensorFileError {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    write_raw(&path, tensors);
    let mut gpt = model(CONFIG, 2);
    let error = read_weights(&mut gpt, &path).unwrap_err();
    assert_eq!(parameters(&gpt), parameters(&model(CONFIG, 2)), "a refused file changed the model");
    error
}

#[test]
fn a_model_begins_as_its_layout_says() {
    let gpt = model(CONFIG, 1);
    let parameters = parameters(&gpt);
    assert_eq!(parameters.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>(), gpt.layout());
    let values = |name: &str| &parameters.iter().find(|(p, _)| p.name == name).unwrap().1;
    assert!(values("h.0.ln_2.weight").iter().all(|&x| x == 1.0));
    assert!(values("h.0.attn.c_attn.bias").iter().all(|&x| x == 0.0));
    assert!(values("wte.weight").iter().all(|&x| x != 0.0 && x.abs() < 0.1));
}

#[test]
fn weights_come_back_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for bias in [true, false] {
        let config = ModelConfig { bias, ..CONFIG };
        let (original, mut read) = (model(config, 1), model(config, 2));
        write_weights(&original, &path).unwrap();
        read_weights(&mut read, &path).unwrap();
        assert_eq!(parameters(&original), parameters(&read));
    }
}

#[test]
fn hugging_faces_prefix_buffers_and_tied_head_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let original = model(CONFIG, 1);
    let mut tensors = raw(&original, |name| format!("transformer.{name}"));
    let head = tensors[0].clone();
    tensors.push(("lm_head.weight".to_owned(), head.1, head.2, head.3));
    tensors.push(("transformer.h.0.attn.bias".to_owned(), FileDtype::U8, vec![1, 1, 6, 6], vec![1; 36]));
    tensors.push(("transformer.h.0.attn.masked_bias".to_owned(), FileDtype::F32, vec![], vec![0; 4]));
    write_raw(&path, &tensors);
    let mut read = model(CONFIG, 2);
    read_weights(&mut read, &path).unwrap();
    assert_eq!(parameters(&original), parameters(&read));
}

#[test]
fn a_model_with_fewer_positions_takes_the_first_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let original = model(CONFIG, 1);
    write_weights(&original, &path).unwrap();
    let bytes = WeightBytes::read(&path).unwrap();
    let short = ModelConfig { block_size: 4, ..CONFIG };
    check_first_weights(&bytes, &short).unwrap();
    let mut read = model(short, 2);
    read_first_weights(&mut read, &path).unwrap();
    for ((parameter, theirs), (_, ours)) in parameters(&original).iter().zip(parameters(&read)) {
        let expected = if parameter.name == "wpe.weight" { &theirs[..4 * 4] } else { theirs.as_slice() };
        assert_eq!(ours, expected, "{}", parameter.name);
    }
    // A checkpoint that a run goes on from must be its own.
    assert!(matches!(
        read_weights(&mut read, &path),
        Err(TensorFileError::BlockSize { expected: 4, found: 6 })
    ));
    let mut long = model(ModelConfig { block_size: 8, ..CONFIG }, 2);
    assert!(matches!(
        read_first_weights(&mut long, &path),
        Err(TensorFileError::BlockSize { expected: 8, found: 6 })
    ));
}

#[test]
fn a_file_of_weights_says_its_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for bias in [true, false] {
        let config = ModelConfig { n_layer: 2, bias, ..CONFIG };
        write_weights(&model(config, 1), &path).unwrap();
        let expected = WeightSizes { n_layer: 2, n_embd: 4, block_size: 6, vocab_size: 5, bias };
        assert_eq!(WeightSizes::of(&WeightBytes::read(&path).unwrap()).unwrap(), expected);
    }
    let other = [("a".to_owned(), FileDtype::F32, vec![1], vec![0; 4])];
    write_raw(&path, &other);
    let error = WeightSizes::of(&WeightBytes::read(&path).unwrap()).unwrap_err().to_string();
    assert!(error.contains("no GPT-2") && error.contains("`wte.weight`"), "{error}");
}

#[test]
fn half_precision_weights_are_widened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let mut tensors = raw(&model(CONFIG, 1), str::to_owned);
    // wte (5, 4): 1, -2 and the smallest subnormal of f16; wpe (6, 4): 1.5 in bf16.
    let halves = [0x3C00u16, 0xC000, 0x0001, 0].repeat(5);
    tensors[0].1 = FileDtype::F16;
    tensors[0].3 = halves.iter().flat_map(|x| x.to_le_bytes()).collect();
    tensors[1].1 = FileDtype::BF16;
    tensors[1].3 = 0x3FC0u16.to_le_bytes().repeat(24);
    write_raw(&path, &tensors);
    let mut read = model(CONFIG, 2);
    read_weights(&mut read, &path).unwrap();
    let parameters = parameters(&read);
    assert_eq!(parameters[0].1[..4], [1.0, -2.0, 2f32.powi(-24), 0.0]);
    assert!(parameters[1].1.iter().all(|&x| x == 1.5));
}

#[test]
fn every_mismatch_names_the_tensor_and_both_shapes() {
    let good = raw(&model(CONFIG, 1), str::to_owned);
    let without = |name: &str| good.iter().filter(|t| t.0 != name).cloned().collect::<Vec<Raw>>();
    let with = |name: &str, dtype, shape: &[usize], bytes: usize| {
        let mut tensors = without(name);
        tensors.push((name.to_owned(), dtype, shape.to_vec(), vec![0; bytes]));
        tensors
    };
    let f32 = FileDtype::F32;
    let cases = [
        (without("h.0.mlp.c_fc.bias"), "`h.0.mlp.c_fc.bias` of shape [16] is missing"),
        (
            // Stored (out, in), as torch.nn.Linear would.
            with("h.0.attn.c_attn.weight", f32, &[12, 4], 192),
            "`h.0.attn.c_attn.weight` has shape [12, 4] where [4, 12] is expected",
        ),
        (with("wte.weight", f32, &[6, 4], 96), "`wte.weight` has shape [6, 4] where [5, 4] is expected"),
        (with("ln_f.weight", FileDtype::I32, &[4], 16), "`ln_f.weight` has dtype I32"),
        (
            with("wpe.weight", f32, &[8, 4], 128),
            "8 positions where block_size = 6 is expected; set model.block_size = 8",
        ),
        (with("h.1.ln_1.weight", f32, &[4], 16), "`h.1.ln_1.weight` has no place in this model"),
        (with("lm_head.weight", f32, &[5, 4], 80), "`lm_head.weight` differs from `wte.weight`"),
    ];
    for (tensors, expected) in cases {
        let text = refusal(&tensors).to_string();
        assert!(text.contains(expected), "{text:?} instead of {expected:?}");
    }
}

#[test]
fn hostile_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    write_weights(&model(CONFIG, 1), &path).unwrap();
    let good = std::fs::read(&path).unwrap();
    let mut gpt = model(CONFIG, 2);
    let mut refuse = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        assert!(read_weights(&mut gpt, &path).is_err());
    };
    for len in 0..good.len() {
        refuse(&good[..len]);
    }
    refuse(&[good.as_slice(), &[0]].concat());
    refuse(&[u64::MAX.to_le_bytes().as_slice(), &good[8..]].concat());
    let header = |json: &str| {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.extend([0; 16]);
        bytes
    };
    for json in [
        "{}",
        "[]",
        "not json",
        r#"{"wte.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[16,0]}}"#,
        r#"{"wte.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,1600]}}"#,
        r#"{"wte.weight":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,16]}}"#,
        r#"{"wte.weight":{"dtype":"F32","shape":[5,4],"data_offsets":[0,16]}}"#,
        r#"{"wte.weight":{"dtype":"F99","shape":[2,2],"data_offsets":[0,16]}}"#,
        r#"{"wte.weight":{"dtype":"F32","shape":[-2,2],"data_offsets":[0,16]}}"#,
    ] {
        refuse(&header(json));
    }
    assert!(matches!(read_weights(&mut gpt, dir.path()), Err(TensorFileError::Io(_))));
}

#[test]
fn the_whole_models_gradient_matches_finite_differences() {
    const STEP: f64 = 1e-6;
    let gpt: Gpt<f64, Cpu> = Gpt::try_build(CONFIG, &Cpu::default(), 3).unwrap();
    let (inputs, targets) = ([0, 3, 1, 4, 4, 2], [3, 1, 4, 4, 2, 0]);
    let loss = |gpt: &Gpt<f64, Cpu>| {
        gpt.try_loss(NoneTape, &inputs, &targets, 3, None, &Hits::default()).unwrap().as_vec()[0]
    };
    let gradients = gpt
        .try_loss(OwnedTape::<f64, Cpu>::default(), &inputs, &targets, 3, None, &Hits::default())
        .unwrap()
        .backward();

    struct Differences<'a, F>(&'a Gradients<f64, Cpu>, F, Vec<(String, f64, f64)>);
    impl<F: FnMut(&str, usize, f64) -> f64> Visit<f64, Cpu> for Differences<'_, F> {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(&mut self, p: &Parameter, tensor: &Tensor<S, f64, Cpu>) -> Result<(), Self::Err> {
            for (i, &found) in self.0.get(tensor).as_vec().iter().enumerate() {
                let expected = ((self.1)(&p.name, i, STEP) - (self.1)(&p.name, i, -STEP)) / (2.0 * STEP);
                self.2.push((format!("{} {i}", p.name), found, expected));
            }
            Ok(())
        }
    }
    struct Move<'a>(&'a str, usize, f64);
    impl super::params::VisitMut<f64, Cpu> for Move<'_> {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(
            &mut self,
            p: &Parameter,
            tensor: &mut Tensor<S, f64, Cpu>,
        ) -> Result<(), Self::Err> {
            if p.name == self.0 {
                let mut values = tensor.as_vec();
                values[self.1] += self.2;
                tensor.copy_from(&values);
            }
            Ok(())
        }
    }
    let moved = |name: &str, i: usize, delta: f64| {
        let mut gpt: Gpt<f64, Cpu> = Gpt::try_build(CONFIG, &Cpu::default(), 3).unwrap();
        let Ok(()) = gpt.visit_mut(&mut Move(name, i, delta));
        loss(&gpt)
    };
    let mut differences = Differences(&gradients, moved, Vec::new());
    let Ok(()) = gpt.visit(&mut differences);
    assert_eq!(differences.2.len(), gpt.layout().iter().map(Parameter::len).sum::<usize>());
    for (name, found, expected) in differences.2 {
        assert!((found - expected).abs() < 1e-8, "{name}: {found} instead of {expected}");
    }
}
