// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import Testing

@testable import PulseEngine

@Suite struct SentenceRowsTests {
  private func text(_ sentence: Sentence) -> String { String(decoding: sentence.bytes, as: UTF8.self) }

  @Test func idsInRows() {
    var rows = Journal.Rows()
    #expect(text("ids \(rows: rows).") == "ids [].")
    rows.add(1, 3)
    #expect(text("\(rows: rows)") == "[[1,3]]")
    rows.add(4, 4)
    rows.add(7, 7)
    #expect(text("\(rows: rows)") == "[[1,4],[7,7]]")
  }
}
