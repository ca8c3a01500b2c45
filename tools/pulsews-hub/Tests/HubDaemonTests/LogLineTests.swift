// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct LogLineTests {
  private let line = LogLine(
    time: "2026-01-01T00:00:00.000Z", level: .info, message: "a \"b\"\nc", fields: [("x", "1"), ("y", "two words\u{1}")])

  @Test func asText() {
    #expect(line.encode(asJSON: false) == #"2026-01-01T00:00:00.000Z info    a "b" c x=1 y="two words\u0001""#)
  }

  @Test func asJSON() {
    #expect(
      line.encode(asJSON: true)
        == #"{"time":"2026-01-01T00:00:00.000Z","level":"info","message":"a \"b\"\nc","x":"1","y":"two words\u0001"}"#)
  }

  @Test func secretsAreTakenOut() {
    let redactor = Redactor(["abcd", "abcdef", "", "xy"])
    #expect(redactor.clean("1 abcdef 2 abcd 3 xy") == "1 [secret] 2 [secret] 3 xy")
  }

  @Test func levels() {
    #expect(LogLevel.allCases.map { LogLevel(number: $0.number) } == LogLevel.allCases)
    #expect(LogLevel.allCases.map { LogLevel($0.loggerLevel) } == LogLevel.allCases)
    #expect(LogLevel(number: 99) == .debug)
  }
}
