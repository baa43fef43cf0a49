mod access;
mod client;
mod limits;
mod requests;

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::{Limits, ServeError, Served, Server};
use crate::data::tokenizer::Tokenizer;
use crate::generate::{Model, Settings};
use crate::infer::fixture::write_weights;
use crate::infer::{Decoder, WeightKind};
use crate::model::ModelConfig;
use crate::pretrained::{Pretrained, Sampling};

/// A server with small models of random weights, until it is dropped.
struct Shop {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Shop {
    fn open(limits: Limits) -> Self {
        Self::open_with(limits, None)
    }

    fn open_with(limits: Limits, token: Option<&str>) -> Self {
        Self::open_for(limits, token, &[])
    }

    fn open_for(limits: Limits, token: Option<&str>, origins: &[&str]) -> Self {
        let served = ["small", "exp/seed=1"].map(|name| Served { name: name.to_owned(), model: model() });
        let server =
            Server::bind("127.0.0.1:0".parse().unwrap(), served.into(), limits, token.map(str::to_owned))
                .unwrap();
        let server = server.allow(origins.iter().map(|origin| origin.parse().unwrap()).collect());
        let address = server.address().unwrap();
        let (stop, stopped) = watch::channel(false);
        let thread = Some(std::thread::spawn(move || server.run(stopped)));
        Self { address, stop, thread }
    }

    /// Asks the server to stop, and waits until it has.
    fn close(&mut self) -> Result<(), ServeError> {
        self.stop.send_replace(true);
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

fn model() -> Model {
    let config =
        ModelConfig { n_layer: 2, n_head: 2, n_embd: 32, block_size: 64, vocab_size: 256, bias: true };
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("model.safetensors");
    write_weights(&weights, &config);
    let decoder = Decoder::open(&weights, &config, WeightKind::F32).unwrap();
    let name = "small".to_owned();
    let pretrained = Pretrained {
        name,
        weights,
        model: config,
        tokenizer: Tokenizer::Byte,
        sampling: Sampling::default(),
        notes: Vec::new(),
        origin: None,
    };
    Model { pretrained, decoder, defaults: Settings::default(), prompts: vec!["Maud:\n".to_owned()] }
}
