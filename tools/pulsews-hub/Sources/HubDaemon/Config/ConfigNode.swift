// SPDX-License-Identifier: Apache-2.0
import TOMLKit

/// A value of the configuration, with the line of its key.
struct ConfigNode {
  enum Value {
    case text(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case list([ConfigNode])
    case table([(key: String, node: ConfigNode)])
    /// A date or a time.
    case other
  }

  let value: Value
  let line: Int

  /// What it is, as an error says it.
  var kind: String {
    switch value {
    case .text: "a text"
    case .integer, .number: "a number"
    case .boolean: "true or false"
    case .list: "a list"
    case .table: "a table"
    case .other: "a date or time"
    }
  }
}

/// Something that is wrong with the configuration, or worth a word.
struct Problem: Error, Equatable, CustomStringConvertible {
  let line: Int
  let sentence: String

  var description: String { "line \(line): \(sentence)" }
}

extension ConfigNode {
  private static let deepest = 16

  /// The whole text as a table, its keys in the order of their lines.
  static func read(_ text: String) throws(Problem) -> ConfigNode {
    let positions = ConfigText(text)
    if let header = positions.namelessHeader {
      // What is wrong before it comes first.
      _ = try parse(String(decoding: text.utf8.prefix(header.start), as: UTF8.self))
      throw Problem(line: header.line, sentence: "a table has a name: letters, digits, - and _, or a text in quotation marks")
    }
    return convert(try parse(text), [], positions)
  }

  private static func parse(_ text: String) throws(Problem) -> TOMLTable {
    do {
      return try TOMLTable(string: text)
    } catch let error as TOMLParseError {
      throw Problem(line: error.source.begin.line, sentence: "column \(error.source.begin.column): \(error.description)")
    } catch {
      throw Problem(line: 1, sentence: "this is no TOML: \(error)")
    }
  }

  private static func convert(_ value: any TOMLValueConvertible, _ path: [String], _ positions: ConfigText) -> ConfigNode {
    let line = positions.line(of: path)
    if path.count > deepest { return ConfigNode(value: .other, line: line) }
    let made: Value
    switch value.type {
    case .table:
      var members: [(key: String, node: ConfigNode)] = []
      if let table = value.table {
        for (key, member) in table { members.append((key, convert(member, path + [key], positions))) }
      }
      // A sort that keeps the order of equal lines: those of an inline table.
      made = .table(
        members.enumerated().sorted { ($0.element.node.line, $0.offset) < ($1.element.node.line, $1.offset) }.map(\.element))
    case .array:
      var elements: [ConfigNode] = []
      if let array = value.array {
        for element in array { elements.append(convert(element, path + ["[]"], positions)) }
      }
      made = .list(elements)
    case .string: made = value.string.map { .text($0) } ?? .other
    case .int: made = value.int.map { .integer($0) } ?? .other
    case .double: made = value.double.map { .number($0) } ?? .other
    case .bool: made = value.bool.map { .boolean($0) } ?? .other
    default: made = .other
    }
    return ConfigNode(value: made, line: line)
  }
}
