// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct NearestNameTests {
  @Test(arguments: [
    ("hearbeat", "heartbeat"), ("haertbeat", "heartbeat"), ("Origin", "origin"), ("nane", "name"), ("loop", "loops"),
    ("compresion", "compression"),
  ])
  func aSlipIsFound(_ word: String, _ meant: String) {
    #expect(NearestName.of(word, among: OptionTable.library.options(of: .hub).map(\.name)) == meant)
  }

  @Test(arguments: ["", "xyzzy", "certificates_and_more", String(repeating: "a", count: 1000)])
  func anotherWordIsNone(_ word: String) {
    #expect(NearestName.of(word, among: ["heartbeat", "certificate"]) == nil)
  }

  @Test func distances() {
    func distance(_ left: String, _ right: String) -> Int { NearestName.distance(Array(left.utf8), Array(right.utf8)) }
    #expect(distance("", "") == 0)
    #expect(distance("", "abc") == 3)
    #expect(distance("abc", "") == 3)
    #expect(distance("abc", "abd") == 1)
    #expect(distance("abc", "acb") == 1)
    #expect(distance("kitten", "sitting") == 3)
  }
}
