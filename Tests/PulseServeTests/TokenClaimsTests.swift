// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseServe
import PulseText
import PulseTransport
import Testing

struct TokenClaimsTests {
  private static let keys = TokenKeys.with(("main", "HS256", secret))

  private func judge(_ claims: String, leeway: Int64 = 0, audience: String = "", issuer: String = "") -> String {
    Self.keys.judge(Token.hs256(claims), leeway: leeway, audience: audience, issuer: issuer)
  }

  @Test func grants() throws {
    let claims = Token.claims(
      #" "sub":"jos\u00e9 \ud83d\ude00", "topics" : ["price.*", "candle.BTC.\u002a"] ,"publish":["chat"],"roles":{"a":[1]}"#
    )
    let granted = try Self.keys.verify(Token.hs256(claims)[...], now: now, leeway: 0).get()
    #expect(text(granted.user) == "josé 😀" && granted.expires == now + 60)
    #expect(granted.topics?.map { text($0) } == ["price.*", "candle.BTC.*"] && granted.publish.map { text($0) } == ["chat"])
    let least = try Self.keys.verify(Token.hs256(Token.claims())[...], now: now, leeway: 0).get()
    #expect(least.user.isEmpty && least.topics == nil && least.publish.isEmpty)
    let none = try Self.keys.verify(Token.hs256(Token.claims(#""topics":[]"#))[...], now: now, leeway: 0).get()
    #expect(none.topics == [])
  }

  @Test func expiry() {
    for (exp, leeway, expected) in [
      ("\(now + 1)", 0, "ok"), ("\(now)", 0, "token_expired"), ("\(now)", 1, "ok"), ("\(now - 5)", 5, "token_expired"),
      ("\(now - 5)", 6, "ok"), ("0", 0, "token_expired"), ("253402300799", 0, "ok"), ("253402300800", 0, "token_malformed"),
      ("1800000060000", 0, "token_malformed"), ("-1", 0, "token_malformed"), ("\(now + 1).5", 0, "ok"), ("\(now).9", 0, "token_expired"),
      ("2e9", 0, "token_malformed"), (#""\#(now + 1)""#, 0, "token_malformed"), ("null", 0, "token_malformed"),
      ("true", 0, "token_malformed"), ("[\(now + 1)]", 0, "token_malformed"), ("99999999999999999999999", 0, "token_malformed"),
      // A leeway is at most a day.
      ("\(now - 86_399)", Int64.max, "ok"), ("\(now - 86_400)", Int64.max, "token_expired"), ("\(now)", Int64.min, "token_expired"),
    ] { #expect(judge(#"{"exp":\#(exp)}"#, leeway: leeway) == expected, "\(exp) \(leeway)") }
    #expect(judge("{}") == "token_no_expiry" && judge(#"{"Exp":\#(now + 1)}"#) == "token_no_expiry")
    for time in [Int64.max, .min] { _ = Self.keys.judge(Token.hs256(Token.claims(#""nbf":0"#)), at: time, leeway: .max) }
  }

  @Test func notBefore() {
    #expect(judge(Token.claims(#""nbf":\#(now)"#)) == "ok")
    #expect(judge(Token.claims(#""nbf":\#(now + 1)"#)) == "token_not_yet_valid")
    #expect(judge(Token.claims(#""nbf":\#(now + 1)"#), leeway: 1) == "ok")
    #expect(judge(Token.claims(#""nbf":1.5"#)) == "ok")
    for bad in ["-1", "1e0", "\"1\"", "null"] { #expect(judge(Token.claims(#""nbf":\#(bad)"#)) == "token_malformed") }
  }

  @Test func audienceAndIssuer() {
    for (claim, expected) in [
      (#""aud":"hub""#, "ok"), (#""aud":["x","hub"]"#, "ok"), (#""aud":"h\u0075b""#, "ok"), (#""aud":"Hub""#, "token_wrong_audience"),
      (#""aud":[]"#, "token_wrong_audience"), (#""aud":["x"]"#, "token_wrong_audience"), ("", "token_wrong_audience"),
      (#""aud":null"#, "token_malformed"), (#""aud":["hub",1]"#, "token_malformed"), (#""aud":{"hub":1}"#, "token_malformed"),
    ] { #expect(judge(Token.claims(claim), audience: "hub") == expected, "\(claim)") }
    // Nobody is expected: a token for somebody is not for this hub.
    for (claim, expected) in [
      ("", "ok"), (#""aud":"""#, "token_wrong_audience"), (#""aud":[""]"#, "token_wrong_audience"),
      (#""aud":"hub""#, "token_wrong_audience"),
    ] { #expect(judge(Token.claims(claim)) == expected, "\(claim)") }
    for (claim, expected) in [
      (#""iss":"me""#, "ok"), (#""iss":"m""#, "token_wrong_issuer"), ("", "token_wrong_issuer"), (#""iss":["me"]"#, "token_malformed"),
    ] { #expect(judge(Token.claims(claim), issuer: "me") == expected, "\(claim)") }
    #expect(judge(Token.claims(#""iss":"anybody""#)) == "ok")
  }

  @Test func malformedClaims() {
    let long = String(repeating: "u", count: 257)
    for claims in [
      "", "[]", "1", "null", #"{"exp":\#(now + 60)"#, #"{"exp":\#(now + 60)} x"#, #"{"exp":\#(now + 60)}{}"#,
      #"{"exp":\#(now + 60),}"#, "{'exp':1}", #"{"exp":\#(now + 60),"exp":\#(now + 60)}"#,
      #"{"exp":\#(now + 60),"\u0065xp":\#(now + 60)}"#, Token.claims(#""a":1,"a":2"#), Token.claims(#""sub":1"#),
      Token.claims(#""sub":"\#(long)""#), Token.claims(#""sub":"a\u0000b""#), Token.claims(#""sub":"a\nb""#),
      Token.claims(#""sub":"\ud800""#), Token.claims(#""topics":null"#), Token.claims(#""topics":"price""#),
      Token.claims(#""topics":[1]"#), Token.claims(#""topics":[""]"#), Token.claims(#""topics":["\#(long)"]"#),
      Token.claims(#""publish":{}"#), Token.claims(#""publish":["a",null]"#),
      Token.claims(#""topics":[\#([String](repeating: "\"a\"", count: 257).joined(separator: ","))]"#),
      Token.claims((0..<128).map { #""m\#($0)":1"# }.joined(separator: ",")),
      Token.claims(#""deep":\#(String(repeating: "[", count: 70) + String(repeating: "]", count: 70))"#),
    ] { #expect(judge(claims) == "token_malformed", "\(claims)") }
    #expect(judge(Token.claims((0..<127).map { #""m\#($0)":1"# }.joined(separator: ","))) == "ok")
    #expect(judge(Token.claims(#""sub":"\#(long.dropLast())""#)) == "ok")
    let signed = base64(Array(Token.header.utf8)) + "." + base64(Array(#"{"exp":\#(now + 60),"sub":""#.utf8) + [0xFF] + Array(#""}"#.utf8))
    let token = "\(signed).\(base64(hmac(secret, Array(signed.utf8))))"
    #expect(Self.keys.judge(Array(token.utf8)) == "token_malformed")
  }

  @Test func headers() {
    for (header, expected) in [
      (#"{"alg":"HS256"}"#, "ok"), (#" {"typ":"at+JWT","alg":"HS256","cty":"x","jku":"https://evil"} "#, "ok"),
      (#"{"alg":"HS256","typ":"application/jwt"}"#, "ok"), (#"{"alg":"HS256","typ":"JWE"}"#, "token_malformed"),
      (#"{"alg":"HS256","typ":""}"#, "token_malformed"), (#"{"alg":"HS256","typ":null}"#, "token_malformed"),
      (#"{"alg":"HS256","crit":[]}"#, "token_malformed"), (#"{"alg":"HS256","cr\u0069t":["b64"],"b64":false}"#, "token_malformed"),
      (#"{"alg":"HS256","alg":"HS256"}"#, "token_malformed"), (#"{"alg":"none","\u0061lg":"HS256"}"#, "token_malformed"),
      (#"{"alg":["HS256"]}"#, "token_malformed"), (#"{"alg":""}"#, "token_malformed"), (#"{"typ":"JWT"}"#, "token_malformed"),
      (#"{"alg":"HS256"}}"#, "token_malformed"), (#"{"alg":"HS256""#, "token_malformed"), ("", "token_malformed"),
    ] { #expect(Self.keys.judge(Token.hs256(Token.claims(), header: header)) == expected, "\(header)") }
  }

  @Test func spelling() {
    let token = text(Token.hs256(Token.claims()))
    let parts = token.split(separator: ".").map(String.init)
    for bad in [
      "", ".", "..", "...", "a.b.c", parts[0], "\(parts[0]).\(parts[1])", "\(token).", ".\(token)", "\(token).x", "\(token) ", " \(token)",
      "\(token)\n", "\(token)=", "\(parts[0])=.\(parts[1]).\(parts[2])", token.replacingOccurrences(of: ".", with: "..", range: nil),
      "\(parts[0]).\(parts[1])/.\(parts[2])", "\(parts[0]).\(parts[1])+.\(parts[2])", "\(token)\u{0}", "\(token)é",
    ] { #expect(Self.keys.judge(Array(bad.utf8)) == "token_malformed", "\(bad)") }
    // 32 bytes leave two bits over: a token has one spelling.
    let last = Array(parts[2].utf8).last ?? 0
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    let place = letters.firstIndex(of: last) ?? 0
    #expect(place % 4 == 0)
    #expect(Self.keys.judge(Array(token.utf8).dropLast() + [letters[place + 1]]) == "token_malformed")
    #expect(Self.keys.judge(Array("\(parts[0]).\(parts[1]).".utf8)) == "token_bad_signature")
  }

  @Test func size() {
    let fill = TokenKeys.maxSize * 3 / 4 - 140
    let largest = Token.hs256(Token.claims(#""x":"\#(String(repeating: "x", count: fill))""#))
    #expect(largest.count <= TokenKeys.maxSize && largest.count > TokenKeys.maxSize - 100)
    #expect(Self.keys.judge(largest) == "ok")
    #expect(Self.keys.judge(Token.hs256(Token.claims(#""x":"\#(String(repeating: "x", count: fill + 100))""#))) == "token_malformed")
  }

  @Test func problems() {
    var codes = Set<String>()
    for value in UInt8(0)...7 {
      guard let problem = TokenProblem(rawValue: value) else {
        Issue.record("no problem \(value)")
        continue
      }
      codes.insert(problem.code.description)
      expectPlain(problem.sentence.description)
    }
    #expect(codes.count == 8 && TokenProblem(rawValue: 8) == nil)
  }
}
