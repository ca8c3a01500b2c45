// SPDX-License-Identifier: Apache-2.0
@testable import HubDaemon

/// A configuration with files and variables that need not exist.
struct Reading {
  let config: Config
  let findings: Findings

  var errors: [String] { findings.sortedErrors.map(\.description) }

  init(_ text: String, files: [String: String] = [:], environment: [String: String] = [:]) {
    findings = Findings()
    let surroundings = Surroundings(environment: environment) { path in
      files[path].map { .success($0) } ?? .failure(Surroundings.Sentence(text: "\(path) is not there"))
    }
    config = Config.read(text, findings, surroundings, .library)
  }
}
