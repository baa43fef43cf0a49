use super::search::{Name, cublas_names, find};
use super::*;

#[test]
fn a_library_that_is_nowhere_is_missing_with_a_reason() {
    let nowhere = Name { file: "libno-such-library-of-nvidia.so.1", needs: None };
    let missing = find(&[nowhere], &[], |_| Ok(())).expect_err("there is no such library");
    assert!(missing.reason.contains("libno-such-library-of-nvidia.so.1"), "{}", missing.reason);
}

#[test]
fn a_file_that_is_no_library_is_named_with_its_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = Name { file: "libbroken-of-nvidia.so.1", needs: None };
    std::fs::write(folder.path().join(name.file), "not a library").expect("writable");
    let missing = find(&[name], &[folder.path().to_owned()], |_| Ok(())).expect_err("it is no library");
    assert!(missing.reason.contains(&folder.path().display().to_string()), "{}", missing.reason);
    assert_eq!(missing.searched, [folder.path()]);
}

#[test]
fn a_library_that_is_not_accepted_is_not_taken_and_the_reason_is_kept() {
    let own = Name { file: "libc.so.6", needs: None };
    let wanted = |_: &Loaded| Err("is not what is wanted".to_owned());
    let missing = find(&[own], &[], wanted).expect_err("nothing is wanted");
    assert!(cfg!(not(target_env = "gnu")) || missing.reason == "libc.so.6 is not what is wanted");
}

#[test]
fn the_newest_cublas_for_the_driver_comes_first_and_newer_ones_last() {
    let names = |driver| cublas_names(driver).iter().map(|name| name.file).collect::<Vec<_>>();
    let [thirteen, twelve, eleven, any] = names(None)[..] else { panic!("{:?}", names(None)) };
    assert_eq!(names(Some(13)), [thirteen, twelve, eleven, any]);
    assert_eq!(names(Some(12)), [twelve, eleven, thirteen, any]);
    assert_eq!(names(Some(11)), [eleven, twelve, thirteen, any]);
    assert!(thirteen.contains("13") && eleven.contains("11"));
}

#[test]
fn cublas_of_a_newer_release_than_the_driver_is_refused() {
    assert_eq!(fits("12.9.1", Some(12)), Ok(()));
    assert_eq!(fits("12.9.1", Some(13)), Ok(()));
    let refused = fits("13.1.0", Some(12)).expect_err("too new");
    assert!(refused.contains("13.1.0") && refused.contains("CUDA 12"), "{refused}");
    // Nothing is known of the driver, or of the library.
    assert_eq!((fits("13.1.0", None), fits("?", Some(12))), (Ok(()), Ok(())));
}
