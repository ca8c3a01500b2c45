// SPDX-License-Identifier: Apache-2.0
import CPulseWS

/// The options that the library has, as it lists them itself: the daemon knows none of their names.
struct OptionTable: Sendable {
  enum Scope: String, Sendable {
    case hub, route, topic, client
  }

  struct Option: Sendable {
    let name: String
    /// "duration", "size", "integer", "number", "boolean", "text", "choice", "header", "list".
    let type: String
    let range: String
  }

  private let options: [Scope: [Option]]
  /// Presets of clients, and maps of feeds.
  let presets: [String]
  let maps: [String]
  private let linesOfMaps: [String]

  static let library = OptionTable()

  init() {
    var found: [Scope: [Option]] = [:]
    var index = 0
    var (of, name, type, range): (UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?)
    while pulsews_hub_option_at(index, &of, &name, &type, nil, &range) == OK.code {
      if let scope = Scope(rawValue: text(of)) {
        found[scope, default: []].append(Option(name: text(name), type: text(type), range: text(range)))
      }
      index += 1
    }
    index = 0
    while pulsews_option_at(index, &name, &type, nil, &range, nil) == OK.code {
      found[.client, default: []].append(Option(name: text(name), type: text(type), range: text(range)))
      index += 1
    }
    options = found
    presets = OptionTable.names { pulsews_preset_at($0, $1, nil, nil) }
    maps = OptionTable.names { pulsews_hub_map_at($0, $1, nil, nil) }
    linesOfMaps = OptionTable.names { pulsews_hub_map_at($0, nil, nil, $1) }
  }

  func options(of scope: Scope) -> [Option] { options[scope] ?? [] }

  /// The lines of a map that the library knows; empty for any other.
  func lines(ofMap name: String) -> String { maps.firstIndex(of: name).map { linesOfMaps[$0] } ?? "" }

  private static func names(_ entry: (Int, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> Int32) -> [String] {
    var names: [String] = []
    var name: UnsafePointer<CChar>?
    while entry(names.count, &name) == OK.code { names.append(text(name)) }
    return names
  }
}

enum OK {
  static let code = Int32(PULSEWS_OK)
}

/// A text of the library; empty for NULL.
func text(_ pointer: UnsafePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }
