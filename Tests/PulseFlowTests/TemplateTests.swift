// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import PulseFlow

private func render(
  _ text: String, id: UInt64 = 7, realtime: Int64 = 1_769_903_999_123_456_789, keys: [String] = [],
  request: String? = nil
) -> String? {
  guard case .success(let template) = Template.parse(bytes(text)) else {
    Issue.record("\(text)")
    return nil
  }
  var out = bytes(">")
  let keys = keys.map(bytes)
  let isDone =
    request.map { request in
      withExact(bytes(request)) { template.render(into: &out, id: id, realtime: realtime, keys: keys, request: $0) }
    } ?? template.render(into: &out, id: id, realtime: realtime, keys: keys, request: nil)
  if !isDone { #expect(out == bytes(">")) }
  return isDone ? String(decoding: out.dropFirst(), as: UTF8.self) : nil
}

@Suite struct TemplateTests {
  @Test func fills() {
    #expect(render("") == "" && render("ping") == "ping" && render("$ $$ $x {} }{ $") == "$ $$ $x {} }{ $")
    #expect(render(#"{"op":"ping","req_id":"${id}"}"#) == #"{"op":"ping","req_id":"7"}"#)
    #expect(render("${id}", id: .max) == "18446744073709551615")
    #expect(render("${ms} ${s}") == "1769903999123 1769903999")
    #expect(render("${ms} ${s}", realtime: -1) == "-1 -1" && render("${ms} ${s}", realtime: 0) == "0 0")
    #expect(render("${ms}", realtime: .min) == "-9223372036855" && render("${ms}", realtime: .max) == "9223372036854")
    #expect(render("[${time}]") == "[2026-01-31T23:59:59.123Z]")
    #expect(render("${$}{id} $${id} ${id}$") == "${id} $7 7$")
    #expect(render("{\"params\":[${keys}]}", keys: ["a", "b\"c", ""]) == #"{"params":["a","b\"c",""]}"#)
    #expect(render("[${keys}]") == "[]")
  }

  @Test func answersARequest() {
    #expect(render(#"{"pong":${ping}}"#, request: #"{"ping":1492420473027}"#) == #"{"pong":1492420473027}"#)
    #expect(render(#"{"id":${.id},"n":${id}}"#, request: #"{"id":"a\"b","x":1}"#) == #"{"id":"a\"b","n":7}"#)
    #expect(render("${params[0].a}${[0]}", request: #"{"params":[{"a":[1]}]}"#) == nil)
    #expect(render("x${params[0].a}", request: #"{"params":[{"a":[1]}]}"#) == "x[1]")
    #expect(render("${[1]}", request: "[1,2]") == "2")
    #expect(render("a${ping}", request: #"{"pong":1}"#) == nil && render("a${ping}", request: "x") == nil)
    #expect(render("a${ping}") == nil && render("a${ping}", request: "") == nil)
    let large = String(repeating: "a", count: 4094)
    #expect(render("${a}", request: "{\"a\":\"\(large)\"}") == "\"\(large)\"")
    #expect(render("${a}", request: "{\"a\":\"\(large)a\"}") == nil)
  }

  @Test func knowsWhatItUses() {
    func uses(_ text: String) -> [Bool]? {
      if case .success(let template) = Template.parse(bytes(text)) { return [template.usesKeys, template.usesRequest] }
      return nil
    }
    #expect(uses("a${id}${ms}${s}${time}${$}") == [false, false])
    #expect(
      uses("${keys}") == [true, false] && uses("${.keys}") == [false, true] && uses("${a.b}${keys}") == [true, true])
  }

  @Test func refused() {
    for (text, sentence) in [
      ("${", "there is no } for the ${ at byte 1"), ("ab${id", "there is no } for the ${ at byte 3"),
      ("${}", "there is no path in the ${} at byte 1"), ("x ${a..b}", "there is no path in the ${} at byte 3"),
      ("${a b}", "there is no path in the ${} at byte 1"), ("${ id }", "there is no path in the ${} at byte 1"),
      ("${${id}}", "there is no path in the ${} at byte 1"),
      ("{\"a\":\"${x\",\"b\":{}}", "there is no path in the ${} at byte 7"),
      ("${a[x]}", "there is no path in the ${} at byte 1"),
      (String(repeating: "a", count: 65537), "the text is longer than 65536 bytes"),
    ] {
      #expect(problem(Template.parse(bytes(text))) == sentence)
    }
  }
}

@Suite struct RFC3339Tests {
  private func text(_ realtime: Int64, _ digits: Int) -> String {
    var out: [UInt8] = []
    RFC3339.append(realtime, to: &out, digits: digits)
    return String(decoding: out, as: UTF8.self)
  }

  @Test func known() {
    #expect(text(0, 3) == "1970-01-01T00:00:00.000Z" && text(0, 6) == "1970-01-01T00:00:00.000000Z")
    #expect(text(-1, 3) == "1969-12-31T23:59:59.999Z" && text(-1_000_000_000, 0) == "1969-12-31T23:59:59Z")
    #expect(text(1_769_903_999_123_456_789, 6) == "2026-01-31T23:59:59.123456Z")
    #expect(text(1_769_903_999_123_456_789, 9) == "2026-01-31T23:59:59.123456789Z")
    #expect(text(951_782_400_000_000_000, 3) == "2000-02-29T00:00:00.000Z")
    #expect(text(951_868_800_000_000_000, 3) == "2000-03-01T00:00:00.000Z")
    #expect(text(4_107_456_000_000_000_000, 3) == "2100-02-28T00:00:00.000Z")
    #expect(text(4_107_542_400_000_000_000, 3) == "2100-03-01T00:00:00.000Z")
    #expect(text(.max, 9) == "2262-04-11T23:47:16.854775807Z")
    #expect(text(.min, 9) == "1677-09-21T00:12:43.145224192Z")
    #expect(text(.max, 99) == text(.max, 9) && text(.max, -5) == text(.max, 0))
  }

  @Test func agreesWithFoundation() throws {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
    var dice = JSONDice(state: 3)
    for _ in 0..<3000 {
      let realtime = Int64(bitPattern: dice.next())
      let (quotient, remainder) = (realtime / 1_000_000_000, realtime % 1_000_000_000)
      let seconds = remainder < 0 ? quotient - 1 : quotient
      let millis = (remainder + 1_000_000_000) % 1_000_000_000 / 1_000_000
      let parts = calendar.dateComponents(
        [.year, .month, .day, .hour, .minute, .second], from: Date(timeIntervalSince1970: TimeInterval(seconds)))
      let expected = String(
        format: "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0,
        parts.hour ?? 0,
        parts.minute ?? 0, parts.second ?? 0, Int(millis))
      #expect(text(realtime, 3) == expected)
    }
  }
}
