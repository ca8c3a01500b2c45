// SPDX-License-Identifier: Apache-2.0

/// One call that sets an option of the library.
struct OptionSetting: Sendable {
  let name: String
  let value: String
  let line: Int
}

extension OptionSetting: Equatable {
  static func == (left: OptionSetting, right: OptionSetting) -> Bool { left.name == right.name && left.value == right.value }
}

extension Section {
  /// Their values may be secrets: nothing shows them, and a file with them is nobody's business.
  private static let secretOptions: Set<String> = ["publish_token", "status_token", "client_key_password", "proxy", "login", "headers"]

  /// Every option of that set that the table gives, as calls with texts.
  func options(_ scope: OptionTable.Scope, _ table: OptionTable, except own: [String] = []) -> [OptionSetting] {
    var settings: [OptionSetting] = []
    let options = table.options(of: scope).filter { !own.contains($0.name) }
    let names = Set(options.map(\.name))
    for option in options {
      let isSecret = Section.secretOptions.contains(option.name)
      if let node = node(option.name) {
        let found = convert(option, node)
        if isSecret { for setting in found { keep(secret: setting) } }
        settings += found
      }
      // `ca_file` is an option of its own, and not the file with `ca`.
      let takesElsewhere = ["text", "list", "header"].contains(option.type)
      if takesElsewhere, !names.contains("\(option.name)_file"), !names.contains("\(option.name)_env"),
        let outside = elsewhere(option.name)
      {
        settings.append(OptionSetting(name: option.name, value: outside.value, line: outside.line))
      }
    }
    return settings
  }

  /// Of a header also its words: an error may quote the value alone.
  private func keep(secret setting: OptionSetting) {
    findings.keep(secret: setting.value, inFileAt: setting.line)
    if setting.name != "headers" { return }
    for word in setting.value.split(whereSeparator: { $0 == " " || $0 == ":" }).dropFirst() where word.utf8.count >= 8 {
      findings.keep(secret: String(word), inFileAt: setting.line)
    }
  }

  private func convert(_ option: OptionTable.Option, _ node: ConfigNode) -> [OptionSetting] {
    guard let texts = Section.texts(option.type, node) else {
      findings.error(node.line, "\"\(option.name)\" of \(title) is \(Section.wanted(option)), and not \(node.kind)")
      return []
    }
    return texts.map { OptionSetting(name: option.name, value: $0, line: node.line) }
  }

  /// The texts that the library gets; nil if the value has another type.
  private static func texts(_ type: String, _ node: ConfigNode) -> [String]? {
    switch (type, node.value) {
    case ("boolean", .boolean(let value)): return [value ? "true" : "false"]
    case ("duration", .integer(let value)), ("size", .integer(let value)), ("integer", .integer(let value)),
      ("number", .integer(let value)):
      return ["\(value)"]
    case ("duration", .number(let value)), ("number", .number(let value)): return ["\(value)"]
    case ("duration", .text(let value)), ("size", .text(let value)), ("text", .text(let value)), ("choice", .text(let value)),
      ("list", .text(let value)), ("header", .text(let value)):
      return [value]
    case ("list", .list(let elements)), ("header", .list(let elements)):
      // An empty list empties that of the library, which has some by a preset.
      if elements.isEmpty { return type == "list" ? [""] : [] }
      var texts: [String] = []
      for element in elements {
        switch element.value {
        case .text(let value): texts.append(value)
        case .integer(let value): texts.append("\(value)")
        default: return nil
        }
      }
      return texts
    case ("header", .table(let members)):
      var texts: [String] = []
      for (name, member) in members {
        guard case .text(let value) = member.value else { return nil }
        texts.append("\(name): \(value)")
      }
      return texts
    default: return nil
    }
  }

  private static func wanted(_ option: OptionTable.Option) -> String {
    switch option.type {
    case "boolean": "true or false, without quotation marks"
    case "duration": "a number of seconds or a text with a unit (\(option.range))"
    case "size": "a number of bytes or a text with a unit (\(option.range))"
    case "integer", "number": "a number (\(option.range))"
    case "list": "a list of texts (\(option.range))"
    case "header": "a table of texts, or a list of them (\(option.range))"
    default: "a text (\(option.range))"
    }
  }
}
