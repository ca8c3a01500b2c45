// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct ConfigTextTests {
  @Test func keysHaveTheirLines() {
    let text = ConfigText(
      """
      # a comment with [table] and key = 1
      top = 1
      [hub]
      listen = [
        "a#[x]",  # ] = "
        'b',
      ]
      name = "a = \\" [no]"
      [topic."price.*"]
      latest = true
      a.b.c = { x = "}", y = [1] }
      long = \"""
      [hub]
      listen = \\\"""
      \"""
      'last key' = 2
      """)
    #expect(text.line(of: ["top"]) == 2)
    #expect(text.line(of: ["hub"]) == 3)
    #expect(text.line(of: ["hub", "listen"]) == 4)
    #expect(text.line(of: ["hub", "name"]) == 8)
    #expect(text.line(of: ["topic"]) == 9)
    #expect(text.line(of: ["topic", "price.*"]) == 9)
    #expect(text.line(of: ["topic", "price.*", "latest"]) == 10)
    #expect(text.line(of: ["topic", "price.*", "a", "b", "c"]) == 11)
    #expect(text.line(of: ["topic", "price.*", "long"]) == 12)
    #expect(text.line(of: ["topic", "price.*", "last key"]) == 16)
  }

  @Test func whatHasNoLineHasThatOfWhatItIsIn() {
    let text = ConfigText("\n[hub]\nheaders = { a = 1 }\n")
    #expect(text.line(of: ["hub", "headers", "a"]) == 3)
    #expect(text.line(of: ["hub", "other"]) == 2)
    #expect(text.line(of: ["nothing"]) == 1)
  }

  @Test(arguments: ["[", "[[", "a", "a =", "\"", "a = \"", "a = '''", "a = [", "= 1", "[\"", "a = \"\\", "\u{0}", "a.=", "]"])
  func whatIsNoTOMLEnds(_ text: String) {
    for count in 0...text.utf8.count { _ = ConfigText(String(decoding: text.utf8.prefix(count), as: UTF8.self)) }
  }
}
