// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

private func matches(_ pattern: String, _ message: String) -> Bool {
  switch Pattern.parse(bytes(pattern)) {
  case .failure(let problem):
    Issue.record("\(pattern): \(problem.text)")
    return false
  case .success(let pattern):
    return withExact(bytes(message)) { pattern.matches($0) }
  }
}

@Suite struct PatternTests {
  @Test func theWholeMessage() {
    #expect(matches("pong", "pong"))
    for other in ["", "pon", "pong ", "Pong", "a pong", "pong\n", "pongpong"] { #expect(!matches("pong", other)) }
    #expect(matches("0123456789abcdef!", "0123456789abcdef!"))
    #expect(!matches("0123456789abcdef!", "0123456789abcdef?"))
    #expect(!matches("0123456789abcdef!", "0123456x89abcdef!"))
    #expect(matches(" {}", " {}"))
    #expect(matches("\"a\"", "\"a\""))
  }

  @Test func glob() {
    let table: [(String, [String], [String])] = [
      ("*", ["", "a", "***"], []),
      ("**", ["", "a"], []),
      ("a*", ["a", "ab", "a*"], ["", "ba"]),
      ("*a", ["a", "ba", "aa", "abababa"], ["", "ab"]),
      ("a*a", ["aa", "aba", "aaa"], ["a", "ab", ""]),
      ("a*b*c", ["abc", "aXbXc", "abcbc", "aabbcc"], ["ac", "acb", "abcd", ""]),
      ("*ping*", ["ping", "{\"ping\":1}", "pipinging"], ["pin", "p ing"]),
      ("heartbeat-*-end", ["heartbeat--end", "heartbeat-1-end-end"], ["heartbeat-end", "heartbeat-1-en"]),
      ("*aab*", ["aaab", "aaaaaab", "aabaab"], ["aaa", "abab"]),
    ]
    for (pattern, yes, no) in table {
      for message in yes { #expect(matches(pattern, message), "\(pattern) \(message)") }
      for message in no { #expect(!matches(pattern, message), "\(pattern) \(message)") }
    }
  }

  @Test func globInTimeThatIsNotExponential() {
    let pattern = String(repeating: "a*", count: 60) + "b"
    #expect(!matches(pattern, String(repeating: "a", count: 20000)))
  }

  @Test(arguments: [
    (#"{"op":"pong"}"#, #"{"req_id":"1","op":"pong","args":[]}"#), (#"{"op":"pong"}"#, " {\n\t\"op\" : \"pong\" }\r\n"),
    (#"{"op":"pong"}"#, #"{"op":"\u0070\u006Fng"}"#), (#"{"\u006fp":"p\u006fng"}"#, #"{"op":"pong"}"#),
    (#"{"op":"pong"}"#, #"{"op":"ping","op":"pong"}"#), (#"{"op":"pong"}"#, #"{"op":"pong","op":1}"#),
    (#"{}"#, #"{}"#), (#"{}"#, #"{"a":[1,{"b":2}]}"#), (#"[]"#, #"[]"#), (#"[]"#, #"[1,2]"#),
    (#"[{"T":"success"}]"#, #"[{"T":"success","msg":"connected"}]"#),
    (#"[{"T":"success"}]"#, #"[1,"T",{"T":"x"},{"msg":"y","T":"success"},null]"#),
    (#"[1,2]"#, #"[3,2,1]"#), (#"[1,1]"#, #"[1]"#), (#"{"a":[[1],{"b":[2]}]}"#, #"{"a":[{"b":[1,2],"c":0},[0,1]]}"#),
    (#"{"a":{"b":{"c":null}}}"#, #"{"x":{"b":{"c":null}},"a":{"y":0,"b":{"c":null,"d":1}}}"#),
    (#"{"id":"*"}"#, #"{"id":1}"#), (#"{"id":"*"}"#, #"{"id":null}"#), (#"{"id":"*"}"#, #"{"id":{"a":[]}}"#),
    (#"{"id":"\u002a"}"#, #"{"id":"*"}"#), (#"["*"]"#, #"[0]"#), (#"{"*":1}"#, #"{"*":1}"#),
    (#"{"a":true,"b":false,"c":null}"#, #"{"c":null,"b":false,"a":true}"#), (#"{"code":0}"#, #"{"code":0.0}"#),
    (#"{"code":200}"#, #"{"code":2e2}"#), (#"{"code":-1.50}"#, #"{"code":-1.5}"#), (#"{"":""}"#, #"{"":""}"#),
    (#"{"s":"é"}"#, #"{"s":"\u00e9"}"#), (#"{"s":"😀"}"#, #"{"s":"\ud83d\ude00"}"#),
    (#"{"s":"\ud800"}"#, #"{"s":"\uD800"}"#),
  ])
  func jsonMatches(_ pattern: String, _ message: String) {
    #expect(matches(pattern, message))
  }

  @Test(arguments: [
    (#"{"op":"pong"}"#, #"{"op":"ping"}"#), (#"{"op":"pong"}"#, #"{"OP":"pong"}"#),
    (#"{"op":"pong"}"#, #"{"op":"pong "}"#),
    (#"{"op":"pong"}"#, #"{"op":["pong"]}"#), (#"{"op":"pong"}"#, #"{"a":{"op":"pong"}}"#),
    (#"{"op":"pong"}"#, #"[{"op":"pong"}]"#), (#"{"op":"pong"}"#, #"{"op":"po"}"#),
    (#"{"op":"pong"}"#, #"{"op":"p\u006fngs"}"#),
    (#"{"op":"pong"}"#, "pong"), (#"{"op":"pong"}"#, ""), (#"{"op":"pong"}"#, #""{\"op\":\"pong\"}""#),
    // Not valid JSON, in front of what matches and behind it.
    (#"{"op":"pong"}"#, #"{"op":"pong""#), (#"{"op":"pong"}"#, #"{"op":"pong"}x"#),
    (#"{"op":"pong"}"#, #"{"op":"pong",}"#),
    (#"{"op":"pong"}"#, #"{"op":"pong"}{}"#), (#"{"op":"pong"}"#, #"{"a":01,"op":"pong"}"#),
    (#"{"op":"pong"}"#, #"{"op":"pong","a":tru}"#), (#"{"op":"pong"}"#, #"{"op":"pong","a":[1,]}"#),
    (#"{}"#, #"[]"#), (#"[]"#, #"{}"#), (#"{}"#, "1"), (#"["*"]"#, #"[]"#), (#"{"id":"*"}"#, #"{"ID":1}"#),
    (#"{"id":"\u002a"}"#, #"{"id":"x"}"#), (#"[1,2]"#, #"[1]"#), (#"[1,2]"#, #"[[1,2]]"#), (#"{"a":1}"#, #"{"a":"1"}"#),
    (#"{"a":1}"#, #"{"a":true}"#), (#"{"a":1}"#, #"{"a":-1}"#), (#"{"a":1}"#, #"{"a":10}"#),
    (#"{"a":true}"#, #"{"a":false}"#),
    (#"{"a":null}"#, #"{}"#), (#"{"a":null}"#, #"{"a":0}"#), (#"{"a":"null"}"#, #"{"a":null}"#),
    (#"{"a":{"b":1}}"#, #"{"a":{},"b":1}"#), (#"{"a":{"b":1,"c":2}}"#, #"{"a":{"b":1},"a":{"c":2}}"#),
    (#"{"a":{}}"#, #"{"a":[]}"#), (#"{"a":[]}"#, #"{"a":{}}"#), (#"[{"a":1,"b":2}]"#, #"[{"a":1},{"b":2}]"#),
  ])
  func jsonDiffers(_ pattern: String, _ message: String) {
    #expect(!matches(pattern, message))
  }

  @Test func refused() {
    let table: [(String, String)] = [
      ("", "the pattern is empty"), ("{", "the pattern is not valid JSON at byte 2"),
      ("{\"a\":tru}", "the pattern is not valid JSON at byte 6"), ("[1,]", "the pattern is not valid JSON at byte 4"),
      ("{}x", "the pattern is not valid JSON at byte 3"), ("{\"a\"}", "the pattern is not valid JSON at byte 5"),
      ("[ping]", "the pattern is not valid JSON at byte 2"),
      (String(repeating: "a", count: 4097), "the pattern is longer than 4096 bytes"),
      (
        String(repeating: "[", count: 17) + String(repeating: "]", count: 17),
        "the pattern is nested deeper than 16 levels"
      ),
      ("[" + String(repeating: "1,", count: 64) + "1]", "an object or array in the pattern has more than 64 items"),
    ]
    for (pattern, sentence) in table { #expect(problem(Pattern.parse(bytes(pattern))) == sentence) }
    #expect(problem(Pattern.parse([UInt8](repeating: UInt8(ascii: "a"), count: 4096))) == nil)
  }

  @Test func limitsThatStillPass() {
    let deep = String(repeating: "[", count: 16) + String(repeating: "]", count: 16)
    #expect(matches(deep, deep))
    #expect(!matches(deep, String(repeating: "[", count: 15) + String(repeating: "]", count: 15)))
    let wide = "[" + (0..<64).map { "\($0)" }.joined(separator: ",") + "]"
    #expect(matches(wide, "[" + (0..<64).reversed().map { "\($0)" }.joined(separator: ",") + "]"))
    #expect(!matches(wide, "[" + (0..<63).map { "\($0)" }.joined(separator: ",") + "]"))
    #expect(!matches(wide, "[" + (1..<64).map { "\($0)" }.joined(separator: ",") + "]"))
    // Whatever is nested too deep to be read does not match.
    func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
    #expect(matches(#"{"a":1}"#, "{\"a\":1,\"b\":\(nested(63))}"))
    #expect(!matches(#"{"a":1}"#, "{\"a\":1,\"b\":\(nested(64))}"))
  }

  @Test func timeIsLinearInTheMessage() {
    // Each level tries all elements of the pattern with all of the message.
    let pattern = (0..<14).reduce("9") { inner, _ in "[\(inner),{\"a\":1},[[1]],\"x\"]" }
    let message = (0..<60).reduce("1") { inner, _ in "[\(inner),{\"a\":[1,2,3]},[[2]],\"x\"]" }
    #expect(!matches(pattern, message))
    #expect(!matches("[[[1,2],[3,4]]]", "[[" + String(repeating: "[1,[2]],", count: 50000) + "[]]]"))
  }

  @Test func aPieceOfAMessageMatchesItAndAChangedOneDoesNot() {
    var dice = JSONDice(state: 7)
    var changed = 0
    var tried = 0
    while tried < 3000 {
      let whole = JSONSample.random(&dice, depth: 4)
      if !whole.isContainer { continue }
      let message = whole.text(&dice)
      let piece = whole.piece(&dice)
      guard case .success(let pattern) = Pattern.parse(bytes(piece.text(&dice))) else { continue }
      tried += 1
      #expect(withExact(bytes(message)) { pattern.matches($0) }, "\(piece.text(&dice)) in \(message)")
      if let other = piece.spoiled(&dice), case .success(let pattern) = Pattern.parse(bytes(other.text(&dice))) {
        changed += 1
        #expect(withExact(bytes(message)) { !pattern.matches($0) }, "\(other.text(&dice)) in \(message)")
      }
      let cut = Array(bytes(message).prefix(dice.roll(message.utf8.count)))
      #expect(withExact(cut) { !pattern.matches($0) })
    }
    #expect(changed > 500)
  }

  @Test func lists() {
    func list(_ text: String) -> PatternList? {
      if case .success(let list) = PatternList.parse(lines: bytes(text)) { return list }
      return nil
    }
    func matches(_ list: PatternList?, _ message: String) -> Bool? {
      list.map { withExact(bytes(message), $0.matches) }
    }
    #expect(list("")?.isEmpty == true && list("\n\n")?.count == 0 && matches(list(""), "") == false)
    let pongs = list("pong\n{\"op\":\"pong\"}\n\n{\"ret_msg\":\"pong\"}")
    #expect(pongs?.count == 3)
    #expect(matches(pongs, "pong") == true && matches(pongs, "{\"ret_msg\":\"pong\",\"op\":\"ping\"}") == true)
    #expect(matches(pongs, "{\"op\":\"ping\"}") == false && matches(pongs, "") == false)
    #expect(problem(PatternList.parse(lines: bytes("a\n{"))) == "the pattern is not valid JSON at byte 2")
    var built = PatternList()
    if case .success(let pattern) = Pattern.parse(bytes("a*")) { built.append(pattern) }
    #expect(!built.isEmpty && matches(built, "abc") == true)
  }
}

/// What `${id}` and `${key}` stand for.
struct PatternCaptureTests {
  private func capture(_ pattern: String, _ message: String) throws -> [String?]? {
    let pattern = try Pattern.parse(bytes(pattern)).get()
    return withExact(bytes(message)) { message in
      var capture = PatternCapture()
      guard pattern.matches(message, &capture) else { return nil }
      return [capture.id, capture.key].map { $0.map { String(decoding: $0, as: UTF8.self) } }
    }
  }

  @Test func captures() throws {
    #expect(try capture(#"{"id":${id},"error":"*"}"#, #"{"error":{"id":1},"id":77}"#) == ["77", nil])
    #expect(try capture(#"{"id":"${id}"}"#, #"{"id":77}"#) == ["77", nil])
    #expect(try capture(#"{"id": ${id} }"#, #"{"id":"a-7"}"#) == ["a-7", nil])
    #expect(try capture(#"{"id":${id}}"#, #"{"id":null}"#) == ["null", nil])
    #expect(try capture(#"{"id":${id}}"#, #"{"id":""}"#) == ["", nil])
    #expect(try capture(#"{"s":"${key}","r":{"q":[${id}]}}"#, #"{"r":{"q":[1,2]},"s":"BTC\/USD"}"#) == ["1", #"BTC\/USD"#])
    // That of the element that matches as a whole.
    #expect(try capture(#"[{"id":${id},"e":1}]"#, #"[{"id":1},{"e":1,"id":2},{"id":3}]"#) == ["2", nil])
    #expect(try capture(#"{"id":${id},"error":"*"}"#, #"{"id":77}"#) == nil)
    #expect(try capture(#"{"id":${id}}"#, #"{"id":}"#) == nil)
    #expect(try capture(#"{"id":"$\u007bid}"}"#, #"{"id":1}"#) == nil)
    #expect(try capture("pong", "pong") == [nil, nil])
    // An answer to a request without an id has none either.
    #expect(try capture(#"{"id":${id},"error":"*"}"#, #"{"error":1}"#) == ["", nil])
    #expect(try capture(#"{"r":{"a":1,"id":${id}}}"#, #"{"r":{"a":1}}"#) == ["", nil])
    #expect(try capture(#"{"id":${id},"error":"*"}"#, #"{"eror":1}"#) == nil)
    #expect(try capture(#"{"s":"${key}"}"#, "{}") == nil)
    #expect(try capture("[${id}]", "[]") == ["", nil])
  }

  @Test(arguments: [
    "{\"id\":$}", "{\"id\":${id}", "{\"id\":${id", "{\"id\":${idd}}", "{\"id\":${ms}}", "{\"id\":$", "done ${id}", "*${id}",
  ])
  func refused(_ pattern: String) { #expect(problem(Pattern.parse(bytes(pattern))) != nil) }

  @Test func theIDOfARequest() throws {
    var list = PatternList()
    for pattern in [#"{"ok":1}"#, #"{"req_id":"${id}"}"#, #"{"id":${id}}"#] { list.append(try Pattern.parse(bytes(pattern)).get()) }
    func id(_ request: String) -> String { String(decoding: list.requestID(of: bytes(request)), as: UTF8.self) }
    #expect(id(#"{"op":"x","req_id":"a1"}"#) == "a1")
    #expect(id(#"{"id":17,"op":"x"}"#) == "17")
    #expect(id(#"{"op":{"id":17}}"#) == "" && id("sub 17") == "" && id("") == "" && id("[17]") == "")
  }
}

struct PatternNeedleTests {
  @Test(arguments: [
    (#"{"type":"pong"}"#, #"{"type":"p\u006fng"}"#, true), (#"{"type":"pong"}"#, #"{"typ\u0065":"pong"}"#, true),
    (#"{"type":"pong"}"#, #"{"type":"ping","note":"\\"}"#, false), (#"{"a":1}"#, #"{"b":1}"#, false),
    (#"{"a":1}"#, #"{"\u0061":1}"#, true), (#"{"a":"x/y"}"#, #"{"a":"x\/y"}"#, true), ("{}", "{}", true), ("[]", "[1]", true),
    (#"{"":""}"#, #"{"":""}"#, true), (#"{"a":"*"}"#, #"{"b":2}"#, false), (#"["é"]"#, #"["é"]"#, true),
  ])
  func theQuickLookChangesNothing(pattern: String, message: String, isMatch: Bool) throws {
    let pattern = try Pattern.parse(Array(pattern.utf8)).get()
    #expect(Array(message.utf8).withUnsafeBytes { pattern.matches($0) } == isMatch)
  }
}
