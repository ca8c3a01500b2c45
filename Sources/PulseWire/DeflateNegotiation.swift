// SPDX-License-Identifier: Apache-2.0
import PulseText

/// One offer of permessage-deflate by a client (RFC 7692 §7.1).
package struct DeflateOffer: Equatable, Sendable {
  package var clientNoContextTakeover: Bool
  package var serverNoContextTakeover: Bool
  /// nil: not offered, so the server can't ask for a smaller window; 0: offered without a value; else 8 to 15.
  package var clientMaxWindowBits: Int?
  /// nil: not asked for; else 8 to 15.
  package var serverMaxWindowBits: Int?

  package init(
    clientNoContextTakeover: Bool = false, serverNoContextTakeover: Bool = false, clientMaxWindowBits: Int? = 0,
    serverMaxWindowBits: Int? = nil
  ) {
    self.clientNoContextTakeover = clientNoContextTakeover
    self.serverNoContextTakeover = serverNoContextTakeover
    self.clientMaxWindowBits = clientMaxWindowBits
    self.serverMaxWindowBits = serverMaxWindowBits
  }

  /// Why the offer can't be made; nil if it is fine.
  package var problem: String? {
    if let bits = clientMaxWindowBits, bits != 0, !(8...15).contains(bits) {
      return sentence("client_max_window_bits is \(bits); allowed are 8 to 15")
    }
    if let bits = serverMaxWindowBits, !(8...15).contains(bits) {
      return sentence("server_max_window_bits is \(bits); allowed are 8 to 15")
    }
    return nil
  }

  /// The value of Sec-WebSocket-Extensions.
  package var headerValue: String {
    DeflateNegotiation.headerValue(
      clientNoContextTakeover: clientNoContextTakeover, serverNoContextTakeover: serverNoContextTakeover,
      clientMaxWindowBits: clientMaxWindowBits, serverMaxWindowBits: serverMaxWindowBits)
  }
}

/// What a server is willing to do.
package struct DeflatePolicy: Equatable, Sendable {
  /// Compress each message by itself, whatever the client asks for.
  package var serverNoContextTakeover = false
  /// Ask the client to do so.
  package var clientNoContextTakeover = false
  /// The largest window to compress with, 9 to 15.
  package var serverMaxWindowBits = 15
  /// The largest window to ask the client for, 9 to 15. A client that doesn't offer client_max_window_bits uses 15.
  package var clientMaxWindowBits = 15
  /// Offers that ask for a smaller window than this are declined, 9 to 15: with 15 one compressed frame fits every client.
  package var leastServerWindowBits = 9

  package init() {}
}

/// One element of Sec-WebSocket-Extensions.
final class ExtensionElement {
  let name: ArraySlice<UInt8>
  var parameters: [ExtensionParameter] = []

  init(name: ArraySlice<UInt8>) { self.name = name }
}

final class ExtensionParameter {
  let name: ArraySlice<UInt8>
  /// That of a quoted string is without the quotation marks and backslashes.
  let value: ArraySlice<UInt8>?

  init(name: ArraySlice<UInt8>, value: ArraySlice<UInt8>?) {
    self.name = name
    self.value = value
  }
}

enum DeflateNegotiation {
  static let name: Literal = "permessage-deflate"

  /// Parses one header value; nil if it does not conform to the ABNF of RFC 6455 §9.1. Empty elements are left out, but
  /// a header of nothing else is malformed (RFC 9110 §5.6.1).
  static func parse(_ bytes: ArraySlice<UInt8>) -> [ExtensionElement]? {
    var reader = Reader(bytes: bytes)
    var elements: [ExtensionElement] = []
    while true {
      reader.skipBlanks()
      if reader.atEnd { break }
      if reader.take(UInt8(ascii: ",")) { continue }
      guard let name = reader.token() else { return nil }
      let element = ExtensionElement(name: name)
      reader.skipBlanks()
      while reader.take(UInt8(ascii: ";")) {
        reader.skipBlanks()
        guard let parameter = reader.token() else { return nil }
        reader.skipBlanks()
        var value: ArraySlice<UInt8>?
        if reader.take(UInt8(ascii: "=")) {
          reader.skipBlanks()
          value = reader.tokenOrQuoted()
          if value == nil { return nil }
          reader.skipBlanks()
        }
        element.parameters.append(ExtensionParameter(name: parameter, value: value))
      }
      elements.append(element)
      if !reader.atEnd, !reader.take(UInt8(ascii: ",")) { return nil }
    }
    return elements.isEmpty ? nil : elements
  }

  private struct Reader {
    let bytes: ArraySlice<UInt8>
    var at: Int

    init(bytes: ArraySlice<UInt8>) {
      self.bytes = bytes
      at = bytes.startIndex
    }

    var atEnd: Bool { at >= bytes.endIndex }

    @inline(never) mutating func skipBlanks() { while !atEnd, HTTPText.isBlank(bytes[at]) { at += 1 } }

    @inline(never) mutating func take(_ byte: UInt8) -> Bool {
      if atEnd || bytes[at] != byte { return false }
      at += 1
      return true
    }

    @inline(never) mutating func token() -> ArraySlice<UInt8>? {
      let from = at
      while !atEnd, HTTPText.isToken(bytes[at]) { at += 1 }
      return at == from ? nil : bytes[from..<at]
    }

    /// RFC 6455 §9.1: what a quoted string says must be a token too.
    mutating func tokenOrQuoted() -> ArraySlice<UInt8>? {
      guard take(UInt8(ascii: "\"")) else { return token() }
      var value: [UInt8] = []
      while !atEnd {
        if take(UInt8(ascii: "\"")) { return HTTPText.isToken(value[...]) ? value[...] : nil }
        if bytes[at] == UInt8(ascii: "\\") { at += 1 }
        if atEnd { return nil }
        value.append(bytes[at])
        at += 1
      }
      return nil
    }
  }

  /// The four parameters as they stand in an offer or an answer.
  struct Parameters {
    var clientNoContextTakeover = false
    var serverNoContextTakeover = false
    /// 0: given without a value.
    var clientMaxWindowBits: Int?
    var serverMaxWindowBits: Int?
  }

  /// Reads and checks the parameters of one element; on failure `problem` says what is wrong with which: unknown, given
  /// twice, or with a value that is not allowed (RFC 7692 §7.1).
  static func parameters(of element: ExtensionElement, isAnswer: Bool, problem: inout String) -> Parameters? {
    var found = Parameters()
    for parameter in element.parameters {
      let (name, value) = (parameter.name, parameter.value)
      // Printed only once it is known to be one of the four.
      let shown = Sentence(name)
      var isDuplicate = false
      if HTTPText.same(name, "client_no_context_takeover") || HTTPText.same(name, "server_no_context_takeover") {
        if value != nil {
          problem = sentence("\(shown) has a value")
          return nil
        }
        if HTTPText.same(name, "client_no_context_takeover") {
          isDuplicate = found.clientNoContextTakeover
          found.clientNoContextTakeover = true
        } else {
          isDuplicate = found.serverNoContextTakeover
          found.serverNoContextTakeover = true
        }
      } else if HTTPText.same(name, "client_max_window_bits") || HTTPText.same(name, "server_max_window_bits") {
        let isClient = HTTPText.same(name, "client_max_window_bits")
        var bits = 0
        if let value {
          guard let number = windowBits(value) else {
            problem = sentence("\(shown) is \(quoted: value); allowed are 8 to 15")
            return nil
          }
          bits = number
        } else if !isClient || isAnswer {
          // RFC 7692 §7.1.2.2: only an offer may leave out the value, and only of client_max_window_bits.
          problem = sentence("\(shown) has no value")
          return nil
        }
        if isClient {
          isDuplicate = found.clientMaxWindowBits != nil
          found.clientMaxWindowBits = bits
        } else {
          isDuplicate = found.serverMaxWindowBits != nil
          found.serverMaxWindowBits = bits
        }
      } else {
        problem = sentence("it has the unknown parameter \(quoted: name)")
        return nil
      }
      if isDuplicate {
        problem = sentence("\(shown) is given twice")
        return nil
      }
    }
    return found
  }

  /// RFC 7692 §7.1.2: a decimal number from 8 to 15 without leading zeros.
  private static func windowBits(_ value: ArraySlice<UInt8>) -> Int? {
    guard value.count <= 2, value.first != UInt8(ascii: "0"), let bits = HTTPText.decimal(value, limit: 15), bits >= 8
    else { return nil }
    return bits
  }

  /// An offer or an answer; client_max_window_bits stands without a value for 0.
  static func headerValue(
    clientNoContextTakeover: Bool, serverNoContextTakeover: Bool, clientMaxWindowBits: Int?, serverMaxWindowBits: Int?
  ) -> String {
    var text: Sentence = "permessage-deflate"
    if serverNoContextTakeover { text.add("; server_no_context_takeover") }
    if clientNoContextTakeover { text.add("; client_no_context_takeover") }
    if let bits = serverMaxWindowBits { text.add("; server_max_window_bits=\(bits)") }
    if let bits = clientMaxWindowBits {
      text.add("; client_max_window_bits")
      if bits != 0 { text.add("=\(bits)") }
    }
    return sentence(text)
  }

  // MARK: The client's side

  enum Answer {
    case none
    case agreed(DeflateParameters)
    case failed(String)
  }

  /// Judges the server's Sec-WebSocket-Extensions against what was offered (RFC 6455 §9.1, RFC 7692 §7.1).
  static func checkAnswer(_ header: ArraySlice<UInt8>, offer: DeflateOffer?) -> Answer {
    guard let elements = parse(header) else {
      return .failed(sentence("Sec-WebSocket-Extensions is malformed: \(quoted: header)"))
    }
    var agreed: DeflateParameters?
    for element in elements {
      guard let offer, HTTPText.same(element.name, name) else {
        return .failed(sentence("the server uses the extension \(quoted: element.name), which was not offered"))
      }
      if agreed != nil { return .failed(sentence("the server answers permessage-deflate twice")) }
      var problem = ""
      guard let answer = parameters(of: element, isAnswer: true, problem: &problem) else {
        return .failed(sentence("in the server's answer to permessage-deflate \(problem)"))
      }
      if let problem = mismatch(answer, offer) {
        return .failed(sentence("in the server's answer to permessage-deflate \(problem)"))
      }
      // Without an answer the client still keeps to the window that it announced (RFC 7692 §7.1.2.2).
      let announced = (offer.clientMaxWindowBits ?? 0) == 0 ? 15 : offer.clientMaxWindowBits ?? 15
      agreed = DeflateParameters(
        clientNoContextTakeover: answer.clientNoContextTakeover || offer.clientNoContextTakeover,
        serverNoContextTakeover: answer.serverNoContextTakeover,
        clientMaxWindowBits: answer.clientMaxWindowBits ?? announced,
        serverMaxWindowBits: answer.serverMaxWindowBits ?? 15)
    }
    return agreed.map { .agreed($0) } ?? .none
  }

  private static func mismatch(_ answer: Parameters, _ offer: DeflateOffer) -> String? {
    // §7.1.1.1: the server accepts the request by repeating it.
    if offer.serverNoContextTakeover, !answer.serverNoContextTakeover {
      return sentence("server_no_context_takeover is missing, which was asked for")
    }
    // §7.1.2.1: the server accepts with the same or a smaller value.
    if let asked = offer.serverMaxWindowBits {
      guard let bits = answer.serverMaxWindowBits else {
        return sentence("server_max_window_bits is missing, which was asked for")
      }
      if bits > asked { return sentence("server_max_window_bits is \(bits), larger than the \(asked) asked for") }
    }
    // §7.1.2.2: only if the client offered it.
    if let bits = answer.clientMaxWindowBits {
      guard let offered = offer.clientMaxWindowBits else {
        return sentence("client_max_window_bits is given, which was not offered")
      }
      if offered != 0, bits > offered {
        return sentence("client_max_window_bits is \(bits), larger than the \(offered) offered")
      }
    }
    return nil
  }

  // MARK: The server's side

  /// The valid offers in the order of the client's preference; an offer with a parameter that is not valid is declined
  /// by leaving it out (RFC 7692 §7.1), other extensions are left out. nil if the header is malformed.
  static func offers(in header: ArraySlice<UInt8>) -> [DeflateOffer]? {
    guard let elements = parse(header) else { return nil }
    var offers: [DeflateOffer] = []
    for element in elements where HTTPText.same(element.name, name) {
      var problem = ""
      guard let found = parameters(of: element, isAnswer: false, problem: &problem) else { continue }
      offers.append(
        DeflateOffer(
          clientNoContextTakeover: found.clientNoContextTakeover,
          serverNoContextTakeover: found.serverNoContextTakeover, clientMaxWindowBits: found.clientMaxWindowBits,
          serverMaxWindowBits: found.serverMaxWindowBits))
    }
    return offers
  }
}

/// A server's choice among the offers: the parameters, and the value of Sec-WebSocket-Extensions that says so. nil when
/// none can be accepted; the connection then goes without compression.
package func negotiateDeflate(
  offers: [DeflateOffer], policy: DeflatePolicy
) -> (parameters: DeflateParameters, answer: String)? {
  let serverLimit = min(max(policy.serverMaxWindowBits, 9), 15)
  let clientLimit = min(max(policy.clientMaxWindowBits, 9), 15)
  for offer in offers where offer.problem == nil {
    // zlib can't compress with a window of 2^8 bytes. To accept would mean to never compress, so that the client's next
    // offer, or none, serves it better.
    if offer.serverMaxWindowBits == 8 { continue }
    if let asked = offer.serverMaxWindowBits, asked < policy.leastServerWindowBits { continue }
    // RFC 7692 §7.1.1: both may be answered unasked; the server's must be when asked for.
    let serverFlag = offer.serverNoContextTakeover || policy.serverNoContextTakeover
    let clientFlag = offer.clientNoContextTakeover || policy.clientNoContextTakeover
    // §7.1.2.1: repeated when asked for; a server may also limit itself unasked.
    let server = min(offer.serverMaxWindowBits ?? 15, serverLimit)
    // §7.1.2.2: never unless offered, and never more than offered. A value of 8 is a hint that the server may ignore,
    // and ignores: a client on zlib couldn't do what an answer of 8 would oblige it to.
    var client = 15
    if let offered = offer.clientMaxWindowBits, offered != 8 { client = min(offered == 0 ? 15 : offered, clientLimit) }
    let answer = DeflateNegotiation.headerValue(
      clientNoContextTakeover: clientFlag, serverNoContextTakeover: serverFlag,
      clientMaxWindowBits: client < 15 ? client : nil,
      serverMaxWindowBits: offer.serverMaxWindowBits != nil || server < 15 ? server : nil)
    return (
      DeflateParameters(
        clientNoContextTakeover: clientFlag, serverNoContextTakeover: serverFlag, clientMaxWindowBits: client,
        serverMaxWindowBits: server), answer
    )
  }
  return nil
}
