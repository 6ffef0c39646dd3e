//! `memif completions` and `memif man`: made from the description of the whole command line.

use std::fs;
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print;

/// Print a completion script for a shell
///
/// bash: memif completions bash > /usr/share/bash-completion/completions/memif; zsh: into a file
/// _memif of a folder in $fpath; fish: into ~/.config/fish/completions/memif.fish.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// bash, zsh or fish
    #[arg(value_parser = shell)]
    shell: Shell,
}

fn shell(text: &str) -> Result<Shell, String> {
    match text {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        _ => Err("must be bash, zsh or fish".into()),
    }
}

/// Print the manual page, for `man -l -`
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Subcommand [default: the whole command]
    #[arg(conflicts_with = "write_to")]
    subcommand: Option<String>,
    /// Write all pages into a folder, one file each
    #[arg(long, value_name = "FOLDER")]
    write_to: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "memif", &mut script);
    print(script)
}

/// A subcommand's page is titled as its command, `memif capture`, by clap.
pub(crate) fn man(args: &ManArgs, mut command: Command) -> Result<(), Failure> {
    command.build();
    if let Some(folder) = &args.write_to {
        for page in [&command].into_iter().chain(command.get_subcommands()) {
            let name = page.get_display_name().unwrap_or("memif").replace(' ', "-");
            let path = folder.join(format!("{name}.1"));
            let written = fs::write(&path, rendered(page)?);
            written.map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))?;
        }
        return Ok(());
    }
    print(match &args.subcommand {
        None => rendered(&command)?,
        Some(name) => rendered(
            command
                .find_subcommand(name)
                .ok_or_else(|| Failure::Usage(format!("there is no subcommand 'memif {name}'")))?,
        )?,
    })
}

/// With the sections that clap does not know.
fn rendered(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let done = clap_mangen::Man::new(command.clone()).render(&mut page);
    done.map_err(|e| Failure::Failed(format!("the manual page: {e}")))?;
    page.extend(SECTIONS.as_bytes());
    Ok(page)
}

const SECTIONS: &str = r#".SH "EXIT STATUS"
0 when all went well, also where a reader of the output has gone;
1 when something failed; 2 when the command line is wrong.
.SH ENVIRONMENT
.TP
MEMIF_SECRET
the secret of an interface (\fBbridge\fR: MEMIF_SECRET_A, MEMIF_SECRET_B)
.TP
XDG_RUNTIME_DIR
where the sockets for \fBmemif stats\fR are
.TP
NO_COLOR, TZ, RUST_LOG
no colours; the time zone of printed times; what is logged
.SH EXAMPLES
.nf
memif capture \-s /run/vpp/memif.sock udp port 53
memif capture \-s /run/vpp/memif.sock \-w x.pcapng \-b filesize:100000 \-b files:10
memif replay \-s /run/vpp/memif.sock \-\-pps 1000 x.pcapng
memif bridge memif:/run/a.sock memif:/run/b.sock,role=master \-w x.pcapng
memif info \-s /run/vpp/memif.sock
.fi
"#;
