use super::*;
use crate::metric::Unit;

fn axis(label: &str, unit: Unit, scale: Scale) -> Axis {
    Axis { label: label.to_owned(), unit, scale }
}

fn chart(points: Vec<(f64, f64)>, scale: Scale) -> Chart {
    let series =
        Series { label: Some("Train loss".to_owned()), points, colour: Colour(0), stroke: Stroke::Solid };
    let level = Level { label: "Target < 0.0999999".to_owned(), value: 0.0999999 };
    let panel =
        Panel { y: axis("Loss", Unit::Nats, scale), series: vec![series], levels: vec![level], height: 300 };
    Chart {
        title: "Loss by step".to_owned(),
        x: axis("Step", Unit::Count, Scale::FromZero),
        panels: vec![panel],
    }
}

fn drawn(chart: &Chart) -> Option<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let stem = dir.path().join("plots/loss.v1");
    write(chart, &stem).unwrap().then(|| {
        let svg = fs::read_to_string(dir.path().join("plots/loss.v1.svg")).unwrap();
        (svg, fs::read(dir.path().join("plots/loss.v1.png")).unwrap())
    })
}

/// Width, height and RGB bytes.
fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width, info.height, pixels)
}

fn falling(n: i32) -> Vec<(f64, f64)> {
    (1..=n).map(|step| (f64::from(step), 0.08 + 10.0 * (-f64::from(step) / 300.0).exp())).collect()
}

#[test]
fn a_picture_shows_its_curve_on_white_paper() {
    let (svg, png) = drawn(&chart(falling(1000), Scale::Log)).unwrap();
    assert!(svg.starts_with("<svg width=\"860\""), "{}", &svg[..80]);
    assert!(svg.contains("viewBox=\"0 0 3440 "));
    for text in
        ["Loss by step", "Target &lt; 0.0999999", "Loss (nats per token, log scale)", "1,000", "sans-serif"]
    {
        assert!(svg.contains(text), "{text}");
    }
    let (width, height, pixels) = decoded(&png);
    assert_eq!(width, 1720);
    let pixel = |x: u32, y: u32| {
        let at = ((y * width + x) * 3) as usize;
        [pixels[at], pixels[at + 1], pixels[at + 2]]
    };
    assert_eq!(pixel(1, height - 1), [255, 255, 255]);
    // The curve is crossed once on the way from top to bottom, anywhere within the frame.
    for x in [400, 900, 1400] {
        let blue: Vec<u32> = (130..height).filter(|&y| pixel(x, y) == [0, 114, 178]).collect();
        assert!((1..40).contains(&blue.len()), "{} blue pixels at x = {x}", blue.len());
    }
}

#[test]
fn the_same_chart_gives_the_same_bytes() {
    let chart = chart(falling(500), Scale::Log);
    assert_eq!(drawn(&chart), drawn(&chart));
}

#[test]
fn a_picture_of_noise_is_small() {
    let noise = |step: i32| 2.0 + f64::from(step.wrapping_mul(step).wrapping_mul(7919) % 1000) / 1000.0;
    let points = (1..=1000).map(|step| (f64::from(step), noise(step))).collect();
    let (_, png) = drawn(&chart(points, Scale::Log)).unwrap();
    assert!(png.len() < 160_000, "{} bytes", png.len());
}

#[test]
fn odd_curves_are_drawn_and_empty_ones_are_not() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for scale in [Scale::Linear, Scale::FromZero, Scale::Log] {
        assert!(drawn(&chart(vec![(1.0, 2.0)], scale)).is_some(), "one point");
        assert!(drawn(&chart(vec![(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)], scale)).is_some(), "all equal");
        assert!(drawn(&chart(vec![(1.0, 1e9), (2.0, nan), (3.0, inf), (4.0, 1e-9)], scale)).is_some());
        assert!(drawn(&chart(vec![], scale)).is_none(), "nothing");
        assert!(drawn(&chart(vec![(1.0, nan), (2.0, inf)], scale)).is_none(), "nothing finite");
    }
    let (svg, _) = drawn(&chart(vec![(1.0, 3.0), (2.0, nan), (3.0, 1.0)], Scale::Log)).unwrap();
    assert!(!svg.contains("NaN"));
    assert!(drawn(&chart(vec![(1.0, 0.0), (2.0, -1.0)], Scale::Log)).is_none(), "no logarithm");
}

#[test]
fn a_picture_that_was_cut_short_is_drawn_again() {
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("loss.png");
    let chart = chart(falling(10), Scale::Log);
    assert!(write(&chart, &dir.path().join("loss")).unwrap());
    let whole = fs::read(&png).unwrap();
    fs::write(&png, &whole[..whole.len() - 1]).unwrap();
    assert!(write(&chart, &dir.path().join("loss")).unwrap());
    assert!(fs::read(&png).unwrap() == whole);
    fs::remove_file(&png).unwrap();
    assert!(write(&chart, &dir.path().join("loss")).unwrap());
    assert!(fs::read(&png).unwrap() == whole);
}

#[test]
fn pictures_that_have_nothing_to_show_any_more_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let stem = dir.path().join("loss");
    assert!(write(&chart(falling(10), Scale::Log), &stem).unwrap());
    assert!(!write(&chart(vec![], Scale::Log), &stem).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn labels_from_users_neither_break_the_picture_nor_leave_the_page() {
    let mut chart = chart(falling(10), Scale::Log);
    chart.panels[0].series[0].label = Some(format!("<b>&\u{0}\u{1b}\"{}", "long ".repeat(100)));
    let (svg, _) = drawn(&chart).unwrap();
    assert!(svg.contains("&lt;b&gt;&amp;&quot;long long") && svg.contains('…'));
    assert!(!svg.contains(['\u{0}', '\u{1b}']) && !svg.contains(&"long ".repeat(30)));
}

#[test]
fn a_long_run_is_drawn_with_few_points() {
    let (svg, _) = drawn(&chart(falling(100_000), Scale::Log)).unwrap();
    assert!(svg.len() < 100_000, "{} bytes", svg.len());
}

#[test]
fn entries_of_a_legend_in_several_rows_stand_below_each_other() {
    let labels = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    let long = "1. learning_rate = 3e-4, n_embd = 64";
    let even =
        draw::legend_places(&labels(&[long, "2. learning_rate = 1e-3, n_embd = 6", long, "3 more settings"]));
    let (rows, xs): (Vec<usize>, Vec<i32>) = even.into_iter().unzip();
    assert_eq!(rows, [0, 0, 1, 1]);
    assert_eq!((xs[0], xs[1]), (xs[2], xs[3]));
    // One that is very long does not make more rows of the others.
    let uneven = draw::legend_places(&labels(&["a", "b", "c", &"d".repeat(90)]));
    assert_eq!(uneven.iter().map(|place| place.0).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert!(uneven[1].1 < uneven[2].1);
    assert_eq!(draw::legend_places(&labels(&["a", "b"])).iter().map(|place| place.0).max(), Some(0));
}
