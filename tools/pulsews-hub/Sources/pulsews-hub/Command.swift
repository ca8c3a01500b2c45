// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import HubDaemon

@main
enum Main {
  static func main() {
    if CommandLine.arguments.dropFirst() == [Daemon.tryArgument] { exit(Daemon.tryText()) }
    Command.main()
  }
}

struct Command: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pulsews-hub",
    abstract: "Serves a hub of PulseWS by a configuration.",
    discussion: """
      Signals: HUP reads the configuration anew, wholly or not at all; TERM and INT end it once all peers have gone, a
      second one ends it at once.
      Exit codes: 0 ended as told, or the configuration is right; 1 could not start, or the hub failed; 2 the configuration
      is wrong; 3 peers were cut at the end; 64 wrong arguments.
      docs/DAEMON.md has the configuration.
      """,
    version: "pulsews-hub \(Daemon.version)")

  @Argument(help: "The configuration, TOML.")
  var config: String

  @Flag(help: "Says what is wrong with the configuration, or what it would do, and ends.")
  var check = false

  func run() throws {
    let code = check ? Daemon.check(config) : Daemon.run(config)
    if code != 0 { throw ArgumentParser.ExitCode(code) }
  }
}
