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
  var config: String?

  @Flag(help: "Says what is wrong with the configuration, or what it would do, and ends.")
  var check = false

  @Flag(help: "Runs a local exchange, and a hub with a page beside it: no configuration, no network.")
  var demo = false

  @Option(help: "With --demo: where the hub listens, 127.0.0.1:8080 unless that is taken.")
  var listen: String?

  @Option(help: "With --demo: the folder of the page, that of `make page`.")
  var page: String?

  @Flag(help: "With --demo: prints the configuration of the demo's hub, and ends.")
  var printConfig = false

  func validate() throws {
    if (config == nil) != demo { throw ValidationError("There has to be a configuration, or --demo.") }
    if !demo, listen != nil || page != nil || printConfig { throw ValidationError("--listen, --page and --print-config go with --demo.") }
  }

  func run() throws {
    let code: Int32
    if let config {
      code = check ? Daemon.check(config) : Daemon.run(config)
    } else {
      code = Demo.act(printConfig ? .printConfig : check ? .check : .run, listen: listen, page: page)
    }
    if code != 0 { throw ArgumentParser.ExitCode(code) }
  }
}
