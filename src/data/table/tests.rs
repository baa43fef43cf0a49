use std::path::PathBuf;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::ByteArrayType;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;
use crate::config::experiment::{DataPlan, DataSource, TokenizerKind};
use crate::data::load;
use crate::data::tests::{ids, plan_of};

/// A table of one column of text, two row groups of it.
fn table(folder: &tempfile::TempDir, name: &str, column: &str, compression: Compression) -> PathBuf {
    let path = folder.path().join(name);
    let schema =
        parse_message_type(&format!("message rows {{ OPTIONAL BYTE_ARRAY {column} (UTF8); }}")).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).unwrap();
    for texts in [vec!["One.\n", "Two é"], vec!["Three"]] {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
        // One row of each group has no text.
        let levels: Vec<i16> = values.iter().map(|_| 1).chain([0]).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    path
}

fn gpt2(path: PathBuf) -> DataPlan {
    DataPlan { tokenizer: TokenizerKind::Gpt2, ..plan_of(DataSource::Path(path)) }
}

#[test]
fn rows_of_a_parquet_table_are_documents_however_they_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let packed = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(Default::default()),
        Compression::GZIP(Default::default()),
    ];
    for compression in packed {
        // Under a wrong name too: what it is, its bytes say.
        for name in ["rows.parquet", "rows.txt"] {
            let data = load(&gpt2(table(&folder, name, "text", compression))).unwrap();
            let text = data.tokenizer.decode(&ids(&data.train));
            assert_eq!(text, "One.\n<|endoftext|>Two é<|endoftext|>Three", "{compression:?}");
            assert_eq!((data.documents, data.ends), (3, 2));
            assert_eq!(data.notices, ["rows without text, which were passed over: 2"]);
        }
    }
}

#[test]
fn the_columns_of_a_table_are_named_where_the_text_is_elsewhere_and_damage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = table(&folder, "rows.parquet", "content", Compression::SNAPPY);
    let plan = DataPlan { text_column: "content".to_owned(), ..gpt2(path.clone()) };
    assert_eq!(load(&plan).unwrap().documents, 3);
    let message = load(&gpt2(path.clone())).unwrap_err().to_string();
    assert!(message.contains("there is no column `text`: it has `content`"), "{message}");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let message = load(&plan).unwrap_err().to_string();
    assert!(message.contains("as a Parquet table: it cannot be read"), "{message}");
}
