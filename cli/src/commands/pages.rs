//! `memif completions` and `memif man`: made from the description of the whole command line.

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
    if let Some(folder) = &args.write_to {
        return clap_mangen::generate_to(command, folder)
            .map_err(|e| Failure::Failed(format!("{}: {e}", folder.display())));
    }
    if let Some(name) = &args.subcommand {
        command.build();
        let found = command.find_subcommand(name).cloned();
        command = found
            .ok_or_else(|| Failure::Usage(format!("there is no subcommand 'memif {name}'")))?;
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|e| Failure::Failed(format!("the manual page: {e}")))?;
    print(page)
}
