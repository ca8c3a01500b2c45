// SPDX-License-Identifier: Apache-2.0

/// What reading a configuration has found: all errors, warnings, and the secrets that nothing may show.
final class Findings {
  private(set) var errors: [Problem] = []
  private(set) var warnings: [Problem] = []
  private(set) var secrets: [String] = []
  /// The first line with a secret in the file itself.
  private(set) var secretLine: Int?

  func error(_ line: Int, _ sentence: String) { add(Problem(line: line, sentence: sentence), to: &errors) }
  func warn(_ line: Int, _ sentence: String) { add(Problem(line: line, sentence: sentence), to: &warnings) }

  private func add(_ problem: Problem, to list: inout [Problem]) {
    if !list.contains(problem) { list.append(problem) }
  }

  func keep(secret: String, inFileAt line: Int?) {
    if secret.isEmpty { return }
    secrets.append(secret)
    if let line, secretLine == nil { secretLine = line }
  }

  /// In the order of the lines.
  var sortedErrors: [Problem] { errors.sorted { $0.line < $1.line } }
  var sortedWarnings: [Problem] { warnings.sorted { $0.line < $1.line } }
}

/// Where texts come from that are not in the configuration itself.
struct Surroundings: Sendable {
  var environment: [String: String]
  /// The file's text, or why it can't be read.
  var readFile: @Sendable (String) -> Result<String, Sentence>

  struct Sentence: Error, Equatable {
    let text: String
  }

  /// A path with `$CREDENTIALS_DIRECTORY/` at its begin is beneath the folder that systemd gives to the service.
  func resolve(_ path: String) -> Result<String, Sentence> {
    let folder = "$CREDENTIALS_DIRECTORY/"
    guard path.hasPrefix(folder) else { return .success(path) }
    guard let there = environment["CREDENTIALS_DIRECTORY"] else {
      return .failure(Sentence(text: "there is no CREDENTIALS_DIRECTORY in the environment; systemd's LoadCredential makes it"))
    }
    return .success(there + "/" + path.dropFirst(folder.count))
  }
}
