// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// A set of request methods (RFC 9110 §9, RFC 5789); one that is none of these is `other`.
package struct Methods: OptionSet, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static var get: Methods { Methods(rawValue: 1) }
  package static var head: Methods { Methods(rawValue: 2) }
  package static var post: Methods { Methods(rawValue: 4) }
  package static var put: Methods { Methods(rawValue: 8) }
  package static var patch: Methods { Methods(rawValue: 16) }
  package static var delete: Methods { Methods(rawValue: 32) }
  package static var options: Methods { Methods(rawValue: 64) }
  package static var other: Methods { Methods(rawValue: 128) }

  private static var names: TextTable { TextTable("GET\0HEAD\0POST\0PUT\0PATCH\0DELETE\0OPTIONS\0", rows: 7, columns: 1) }

  /// Methods are told apart by case (RFC 9110 §9.1).
  @inline(never) package init(name: ArraySlice<UInt8>) {
    var rows = Self.names.rows
    while let row = rows.next() {
      if HTTPText.same(name, rows.text(0)) {
        self = Methods(rawValue: 1 << UInt8(truncatingIfNeeded: row))
        return
      }
    }
    self = .other
  }

  /// "GET, HEAD", as the header Allow has it.
  @inline(never) package var list: Sentence {
    var list: Sentence = ""
    var rows = Self.names.rows
    while let row = rows.next() {
      guard contains(Methods(rawValue: 1 << UInt8(truncatingIfNeeded: row))) else { continue }
      if !list.bytes.isEmpty { list.add(", ") }
      list.add("\(rows.text(0))")
    }
    return list
  }
}
