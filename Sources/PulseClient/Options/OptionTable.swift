// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseText

/// What a text stands for. `line`: without control bytes. `own`: it has its own function.
package enum OptionForm: Sendable { case none, path, text, line, template, pattern, jsonPath, own }

/// What may stand in a template or a pattern.
package struct OptionPlaces: OptionSet, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  static var keys: OptionPlaces { OptionPlaces(rawValue: 1) }
  static var request: OptionPlaces { OptionPlaces(rawValue: 2) }
  static var id: OptionPlaces { OptionPlaces(rawValue: 4) }
  static var key: OptionPlaces { OptionPlaces(rawValue: 8) }
}

/// The one table of options. Validation and `pulsews_option_at` read it; the reference page and the bindings' types come
/// from the same contract.
package enum OptionTable {
  /// nil behind the last.
  package static func entry(_ index: Int) -> OptionKey? {
    index >= 0 && index < count ? OptionKey(rawValue: UInt8(truncatingIfNeeded: index)) : nil
  }

  static func find(_ name: String) -> OptionKey? {
    var rows = texts.rows
    while let index = rows.next() {
      if equal(rows.text(0), name) { return entry(index) }
    }
    return nil
  }
}

extension OptionKey {
  var index: Int { Int(rawValue) }

  package var name: Literal { OptionTable.texts[index, 0] }
  package var defaultValue: Literal { OptionTable.texts[index, 1] }
  package var allowed: Literal { OptionTable.texts[index, 2] }
  package var meaning: Literal { OptionTable.texts[index, 3] }

  func takes(_ number: Int64) -> Bool { (number >= minimum && number <= maximum) || (number == 0 && mayBeZero) }

  /// The place of a word among those of a choice, which have a blank between them.
  func place(of word: String) -> Int? {
    let wanted = word.bytes
    var place = 0
    var isSame = true
    var length = 0
    for byte in OptionTable.texts[index, 4].bytes {
      if byte == 0x20 {
        if isSame && length == wanted.count { return place }
        place &+= 1
        isSame = true
        length = 0
        continue
      }
      isSame = isSame && length < wanted.count && wanted[length] == byte
      length &+= 1
    }
    return isSame && length == wanted.count ? place : nil
  }
}
