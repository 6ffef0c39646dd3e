//! The command's options: any arguments are taken or refused, and what is taken is in its range.
#![no_main]

use clap::Parser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if data.len() > 2048 {
        return;
    }
    let text = String::from_utf8_lossy(data);
    let arguments = std::iter::once("memif").chain(text.split('\n'));
    let secret = "hunter2hunter2";
    // Elsewhere it is none: twice, behind `--`, or where another option's value belongs.
    let told = text.contains(&format!("\n--secret\n{secret}\n"))
        && text.matches(secret).count() == 1
        && !text.contains("\n--\n");
    match memif_cli::Args::try_parse_from(arguments) {
        Ok(args) => {
            let shown = format!("{args:?}");
            assert!(
                !told || !shown.contains(secret),
                "a secret is shown: {shown}"
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
