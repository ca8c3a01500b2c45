// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Glibc

/// A configuration that was read from a file and tried on the library.
struct ConfigFile {
  let path: String
  let config: Config
  let findings: Findings

  private static let largest = 16 << 20

  /// `isActivated`: sockets to listen at come from the service manager; nil: that is not known.
  static func load(_ path: String, isActivated: Bool?) -> ConfigFile {
    let findings = Findings()
    let surroundings = Surroundings(environment: environment()) { readFile($0).map(\.text) }
    var config = Config()
    switch readFile(path) {
    case .failure(let problem): findings.error(0, problem.text)
    case .success(let file):
      config = Config.read(file.text, findings, surroundings, .library)
      Trial.run(Plan(config), findings)
      if config.listen.isEmpty, isActivated == false, findings.errors.isEmpty {
        findings.error(0, "there is nothing to listen at: \"listen\" of [hub], or sockets of the service manager")
      }
      if isActivated == true, config.hubOption("proxy_protocol")?.value == "true" {
        findings.error(0, "\"proxy_protocol\" does not go together with sockets of the service manager: the hub has to accept itself")
      }
      if let line = findings.secretLine, file.othersRead {
        findings.warn(
          line, "the file has secrets in it, and others may read it: chmod o-r, or put them in files of their own (\"KEY_file\")")
      }
    }
    return ConfigFile(path: path, config: config, findings: findings)
  }

  /// "hub.toml:12: sentence", without secrets.
  func lines(_ problems: [Problem], _ kind: String) -> [String] {
    let redactor = Redactor(findings.secrets)
    return problems.map { "\(path):\($0.line > 0 ? "\($0.line):" : "") \(kind): \(redactor.clean($0.sentence))" }
  }

  private static func readFile(_ path: String) -> Result<(text: String, othersRead: Bool), Surroundings.Sentence> {
    func failed(_ why: String) -> Result<(text: String, othersRead: Bool), Surroundings.Sentence> {
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
