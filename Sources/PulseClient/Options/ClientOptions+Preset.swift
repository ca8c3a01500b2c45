// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseText

/// Options for a known feed.
package enum PresetTable {
  package static func name(_ index: Int) -> Literal { texts[index, 0] }
  /// Which feed it is for, and where its facts come from.
  package static func text(_ index: Int) -> Literal { texts[index, 1] }
  /// One line an option, "name=value".
  package static func options(_ index: Int) -> Literal { texts[index, 2] }
}

extension ClientOptions {
  /// Sets what the caller has chosen. What a preset has put into a list goes with the first value of the caller's own.
  mutating func choose(_ key: OptionKey, _ value: String) -> Problem? {
    if key == .preset { return usePreset(value) }
    var changed = self
    if changed.preselected[key] { changed.clear(key) }
    changed.preselected[key] = false
    changed.chosen[key] = true
    if let problem = changed.set(key, value) { return problem }
    self = changed
    return nil
  }

  private mutating func usePreset(_ value: String) -> Problem? {
    var rows = PresetTable.texts.rows
    while let index = rows.next() {
      if !equal(rows.text(0), value) { continue }
      var changed = self
      changed.preset = index
      changed.removePreselected()
      if let problem = changed.apply(rows.text(2)) { return problem }
      self = changed
      return nil
    }
    return problem(.preset, value)
  }

  /// What a preset before has set goes: the two would not mean anything together.
  private mutating func removePreselected() {
    var index = 0
    while let key = OptionTable.entry(index) {
      if preselected[key] {
        clear(key)
        if key.kind != .list && !key.defaultValue.isEmpty { _ = set(key, text(key.defaultValue)) }
        preselected[key] = false
      }
      index += 1
    }
  }

  private mutating func apply(_ lines: Literal) -> Problem? {
    let all = lines.bytes
    var start = 0
    while start < all.count {
      var end = start
      while end < all.count && all[end] != 0x0A { end += 1 }
      var equals = start
      while equals < end && all[equals] != 0x3D { equals += 1 }
      let name = String(bytes: UnsafeBufferPointer(rebasing: all[start..<equals]))
      let value = String(bytes: UnsafeBufferPointer(rebasing: all[(equals < end ? equals + 1 : end)..<end]))
      start = end + 1
      if let problem = preselect(name, value) { return problem }
    }
    return nil
  }

  private mutating func preselect(_ name: String, _ value: String) -> Problem? {
    guard let key = OptionTable.find(name) else {
      return .unknownOption(sentence("a preset has the unknown option \(name)"))
    }
    if chosen[key] { return nil }
    preselected[key] = true
    return set(key, value)
  }
}
