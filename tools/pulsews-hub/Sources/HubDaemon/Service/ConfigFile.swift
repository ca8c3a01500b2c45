// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Glibc

/// Where the text of a configuration comes from, each time it is read.
struct ConfigSource: Sendable {
  typealias Text = Result<(text: String, othersRead: Bool), Surroundings.Sentence>

  /// What stands before the line of an error.
  let name: String
  let read: @Sendable () -> Text

  static func file(_ path: String) -> ConfigSource { ConfigSource(name: path) { ConfigFile.readFile(path) } }
}

/// A configuration that was read and tried on the library.
struct ConfigFile {
  let path: String
  let config: Config
  let findings: Findings

  private static let largest = 16 << 20
  /// How long a child may take to parse (s).
  private static let patience: Int32 = 10

  /// `isActivated`: sockets to listen at come from the service manager; nil: that is not known.
  static func load(_ source: ConfigSource, isActivated: Bool?) -> ConfigFile {
    let findings = Findings()
    let surroundings = Surroundings(environment: environment()) { readFile($0).map(\.text) }
    var config = Config()
    switch source.read() {
    case .failure(let problem): findings.error(0, problem.text)
    case .success(let file):
      if let problem = tryInChild(file.text) {
        findings.error(0, problem)
        break
      }
      config = Config.read(file.text, findings, surroundings, .library)
      Trial.run(Plan(config), findings)
      if config.listen.isEmpty, isActivated == false, findings.errors.isEmpty {
        findings.error(0, "there is nothing to listen at: \"listen\" of [hub], or sockets of the service manager")
      }
      if let line = findings.secretLine, file.othersRead {
        findings.warn(
          line, "the file has secrets in it, and others may read it: chmod o-r, or put them in files of their own (\"KEY_file\")")
      }
    }
    return ConfigFile(path: source.name, config: config, findings: findings)
  }

  /// "hub.toml:12: sentence", without secrets.
  func lines(_ problems: [Problem], _ kind: String) -> [String] {
    let redactor = Redactor(findings.secrets)
    return problems.map { "\(path):\($0.line > 0 ? "\($0.line):" : "") \(kind): \(redactor.clean($0.sentence))" }
  }

  /// The parser is others' code, and aborts the process at some texts that are no TOML: a child reads first. nil if it came
  /// to an end, with or without an error.
  private static func tryInChild(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    let code = daemon_run_self(Daemon.tryArgument, bytes, bytes.count, patience)
    if code < 0 { return "the configuration can't be tried: \(systemError())" }
    return code >= 128 ? "this is no TOML: a part of it has no end, no begin or no value, and the parser can't say which" : nil
  }

  fileprivate static func readFile(_ path: String) -> ConfigSource.Text {
    func failed(_ why: String) -> ConfigSource.Text {
      .failure(Surroundings.Sentence(text: "\(path) can't be read: \(why)"))
    }
    let descriptor = daemon_open_read(path)
    if descriptor < 0 { return failed(systemError()) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      if count < 0 { return failed(systemError()) }
      if count == 0 { break }
      bytes += piece.prefix(count)
      if bytes.count > largest { return failed("it is larger than 16 MiB") }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { return failed("it is not UTF-8") }
    if text.utf8.contains(0) { return failed("it holds a NUL") }
    return .success((text, daemon_others_read(descriptor) == 1))
  }
}

/// The variables of this process.
func environment() -> [String: String] {
  var found: [String: String] = [:]
  var index = 0
  while let entry = daemon_environment(index) {
    index += 1
    let parts = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    if parts.count == 2 { found[String(parts[0])] = String(parts[1]) }
  }
  return found
}

extension Daemon {
  /// The argument of the child that only parses.
  public static let tryArgument = "--try-toml"

  /// Parses the standard input, as a child of a daemon.
  public static func tryText() -> Int32 {
    daemon_forbid_core()
    guard case .success(let file) = ConfigFile.readFile("/dev/stdin") else { return ExitCode.badConfig }
    do throws(Problem) { _ = try ConfigNode.read(file.text) } catch { return ExitCode.badConfig }
    return ExitCode.done
  }
}
