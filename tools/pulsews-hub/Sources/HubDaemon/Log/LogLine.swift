// SPDX-License-Identifier: Apache-2.0

/// One line of the log.
struct LogLine {
  let time: String
  let level: LogLevel
  let message: String
  /// In the order in which they are shown.
  let fields: [(name: String, value: String)]

  /// Without the line feed; no text in it can begin another line.
  func encode(asJSON: Bool) -> String {
    if asJSON {
      let members = [("time", time), ("level", level.rawValue), ("message", message)] + fields.map { ($0.name, $0.value) }
      return "{" + members.map { "\(jsonString($0.0)):\(jsonString($0.1))" }.joined(separator: ",") + "}"
    }
    let padding = String(repeating: " ", count: max(0, 7 - level.rawValue.utf8.count))
    let rest = fields.map { " \($0.name)=\(LogLine.plain($0.value) ? $0.value : jsonString($0.value))" }.joined()
    return "\(time) \(level.rawValue)\(padding) \(LogLine.oneLine(message))\(rest)"
  }

  private static func plain(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") }
  }

  private static func oneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
  }
}

/// Takes secrets out of texts that are shown.
struct Redactor: Sendable {
  /// Shorter ones would take harmless words along.
  private static let shortest = 4
  private let secrets: [String]

  init(_ secrets: [String] = []) {
    // A longer one first, which may hold a shorter one.
    self.secrets = Array(Set(secrets.filter { $0.utf8.count >= Redactor.shortest })).sorted { $0.utf8.count > $1.utf8.count }
  }

  func clean(_ text: String) -> String {
    var text = text
    for secret in secrets { text = text.replacingBytes(of: secret, with: "[secret]") }
    return text
  }
}
