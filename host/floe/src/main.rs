//! The binary `floe`: parses arguments, calls the command, says what went wrong, maps it to an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use floe::cli::{AgentCommand, BenchCommand, Cli, Command, PluginCommand};
use floe::settings::{Settings, this_program};
use floe::{
    Error, Exit, agent, attack, bench, builder, check, doctor, export, history, learn, new, plugin, replay, run, schema, store,
    validate, viz,
};
use tokio::time::Instant;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = Cli::parse();
    if let Command::CompilePlugin(args) = &cli.command {
        return floe::sandbox::compile_child(&args.limits);
    }
    let settings = Settings { compiler: this_program(), ..Settings::from_env() };
    let exit = match cli.command.process().and_then(|process| process.otlp.as_deref()).map(export::spans).transpose() {
        Ok(None) => {
            run::start_log(cli.log, &settings, None);
            finish(execute(&cli, &settings, started), &settings)
        }
        Ok(Some((layer, spans))) => {
            run::start_log(cli.log, &settings, Some(layer));
            let exit = finish(execute(&cli, &settings, started), &settings);
            spans.close();
            exit
        }
        Err(error) => finish(Err(error), &settings),
    };
    ExitCode::from(exit.code())
}

fn finish(done: Result<Exit, Error>, settings: &Settings) -> Exit {
    done.unwrap_or_else(|error| {
        // Where standard error is closed, the exit code is all that can be said.
        let _ = std::io::stderr().lock().write_all(error.render(settings.color_errors).as_bytes());
        error.exit()
    })
}

fn execute(cli: &Cli, settings: &Settings, started: Instant) -> Result<Exit, Error> {
    match &cli.command {
        Command::Build(args) => builder::execute(args),
        Command::Validate(args) => validate::execute(args, settings),
        Command::Viz(args) => viz::execute(args),
        Command::New(args) => new::execute(args),
        Command::Schema(args) => schema::execute(args),
        Command::Doctor(args) => doctor::execute(args, settings),
        Command::CompilePlugin(_) => Err(Error::wrong("this is started by floe itself")),
        Command::Completions(args) => {
            // The script is made in memory: a reader that goes away is no panic then.
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "floe", &mut script);
            std::io::stdout().lock().write_all(&script)?;
            Ok(Exit::Completed)
        }
        Command::Run(args) => run::run(args, settings, started),
        Command::Resume(args) => run::resume(args, settings, started),
        Command::Traces(args) => history::traces(args),
        Command::History(args) => history::history(args),
        Command::DeadLetters(args) => history::dead_letters(args),
        Command::Retry(args) => history::retry(args, settings, started),
        Command::Replay(args) => replay::replay(args, settings),
        Command::Resolve(args) => history::resolve(args),
        Command::Purge(args) => history::purge(args),
        Command::Plugin(PluginCommand::Inspect(args)) => plugin::inspect_file(args, settings),
        Command::Plugin(PluginCommand::Call(args)) => plugin::call(args, settings),
        Command::Plugin(PluginCommand::Learn(args)) => learn::execute(args, settings),
        Command::Plugin(PluginCommand::Check(args)) => check::execute(args),
        Command::Agent(AgentCommand::Run(args)) => agent::run(args, settings),
        Command::Attack(args) => attack::execute(args, settings),
        Command::Plugin(PluginCommand::Add(args)) => store::add(args, settings),
        Command::Plugin(PluginCommand::List(args)) => store::list(args),
        Command::Plugin(PluginCommand::Remove(args)) => store::remove(args),
        Command::Plugin(PluginCommand::Revoke(args)) => store::revoke(args),
        Command::Plugin(PluginCommand::Diff(args)) => store::diff(args, settings),
        Command::Bench(BenchCommand::Hop(args)) => bench::hop(args, settings),
        Command::Bench(BenchCommand::Runtime(args)) => bench::runtime(args, settings),
        Command::Bench(BenchCommand::Sandbox(args)) => bench::sandbox(args, settings),
        Command::Bench(BenchCommand::Neighbour(args)) => bench::neighbour(args, settings),
    }
}
