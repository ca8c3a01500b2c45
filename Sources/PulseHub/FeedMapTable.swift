// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseTopics

/// The maps of known feeds.
package enum FeedMapTable {
  package static func name(_ index: Int) -> Literal { texts[index, 0] }
  /// Which feed it is for.
  package static func text(_ index: Int) -> Literal { texts[index, 1] }
  package static func map(_ index: Int) -> Literal { texts[index, 2] }

  /// The lines of the map with that name; nil if there is none.
  static func find(_ name: [UInt8]) -> [UInt8]? {
    var rows = texts.rows
    while rows.next() != nil {
      if name.withUnsafeBytes({ equalBytes($0, UnsafeRawBufferPointer(rows.text(0).bytes)) }) { return Array(rows.text(2).bytes) }
    }
    return nil
  }
}

extension FeedMap {
  /// The name of a known map, or the lines of one.
  package static func named(_ text: [UInt8], _ problem: inout Sentence) -> FeedMap? {
    for byte in text where byte == UInt8(ascii: "=") { return parse(text, &problem) }
    if let lines = FeedMapTable.find(text) { return parse(lines, &problem) }
    problem = "\(quoted: text[...]) is neither a known map nor the lines of one"
    return nil
  }
}
