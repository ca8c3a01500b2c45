// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// What the paths of a server lead to. A route is a number of the owner's.
package struct RouteTable {
  package enum Kind: Sendable { case webSocket, http }

  package enum Match {
    /// For a prefix, what is behind it begins at `rest` of the path.
    case route(Int, rest: Int)
    case refused(Refusal)
  }

  final class Entry: Sendable {
    let path: [UInt8]
    let isPrefix: Bool
    let kind: Kind
    let methods: Methods
    /// The path is a secret: no refusal names it.
    let isHidden: Bool
    let route: Int

    init(path: [UInt8], isPrefix: Bool, kind: Kind, methods: Methods, isHidden: Bool, route: Int) {
      self.path = path
      self.isPrefix = isPrefix
      self.kind = kind
      self.methods = methods
      self.isHidden = isHidden
      self.route = route
    }
  }

  private static let maxPathSize = 1024
  private(set) var entries: [Entry] = []

  package init() {}

  /// Adds a path; one that ends with "/" and has `isPrefix` stands for all beneath it. The same path may have one route
  /// for WebSocket and others for HTTP, each with its own methods. GET brings HEAD along. The result says why it can't be
  /// added; nil if it was.
  @inline(never) package mutating func add(
    _ path: [UInt8], isPrefix: Bool = false, _ kind: Kind, methods: Methods = .get, isHidden: Bool = false, route: Int
  ) -> String? {
    if path.count > Self.maxPathSize { return sentence("the path has \(path.count) bytes; allowed are \(Self.maxPathSize)") }
    if path.first != UInt8(ascii: "/") { return sentence("the path \(quoted: path[...]) does not begin with /") }
    if isPrefix, path.last != UInt8(ascii: "/") {
      return sentence("the path \(quoted: path[...]) stands for all beneath it and does not end with /")
    }
    // It would never match: requests come without dots, escapes and double slashes.
    let spelled = RequestPath.encoded(path[...])
    guard case .success(let read) = RequestPath.read(spelled[...]), HTTPText.same(read[...], path[...]) else {
      return sentence("no request can have the path \(quoted: path[...])")
    }
    var allowed = kind == .webSocket ? Methods.get : methods
    if kind == .http, allowed.contains(.get) { allowed.insert(.head) }
    for entry in entries
    where entry.isPrefix == isPrefix && entry.kind == kind && HTTPText.same(entry.path[...], path[...])
      && !entry.methods.isDisjoint(with: allowed)
    {
      return sentence("the path \(quoted: path[...]) is given twice")
    }
    entries.append(
      Entry(path: path, isPrefix: isPrefix, kind: kind, methods: allowed, isHidden: isHidden, route: route))
    return nil
  }

  /// What HTTP methods a path takes, for preflights and OPTIONS; empty if there is no such path for HTTP.
  package func methods(of path: [UInt8]) -> Methods {
    let best = bestLength(path, kind: .http)
    var methods: Methods = []
    for entry in entries where entry.kind == .http && Self.rank(entry, path) == best && best >= 0 {
      methods.formUnion(entry.methods)
    }
    return methods
  }

  /// The route of a request: of an exact path first, else of the longest prefix.
  @inline(never) package func match(_ request: Request) -> Match {
    let path = request.path
    let kind = request.isUpgrade ? Kind.webSocket : .http
    let best = bestLength(path, kind: kind)
    let other = bestLength(path, kind: kind == .http ? .webSocket : .http)
    let isOther = other == Self.exact ? best != Self.exact : best < 0 && other >= 0
    if best < 0, other < Self.exact, let refusal = NearestPath.refusal(path, kind: kind, isOther: false, entries) {
      return .refused(refusal)
    }
    if isOther {
      return .refused(
        kind == .webSocket ? Self.isHTTPOnly(shown(path, .http, other)) : Self.isWebSocketOnly(request, shown(path, .webSocket, other)))
    }
    if best < 0 {
      let nearest = NearestPath.refusal(path, kind: kind, isOther: true, entries)
      return .refused(nearest ?? .noSuchPath("there is no path \(quoted: path[...]) here"))
    }
    var allowed: Methods = []
    for entry in entries where entry.kind == kind && Self.rank(entry, path) == best {
      if entry.methods.contains(request.method) {
        return .route(entry.route, rest: entry.isPrefix ? entry.path.count : path.count)
      }
      allowed.formUnion(entry.methods)
    }
    return .refused(
      Refusal(
        405, "method_not_allowed",
        "the method \(quoted: request.methodName) is not allowed for this path; allowed are: \(allowed.list)",
        headers: [(name: "Allow", value: sentence(allowed.list))], closes: request.isUpgrade))
  }

  // MARK: Which entry fits best

  private static let exact = Int.max

  /// -1 if it does not fit.
  @inline(never) private static func rank(_ entry: Entry, _ path: [UInt8]) -> Int {
    if !entry.isPrefix { return HTTPText.same(entry.path[...], path[...]) ? exact : -1 }
    if path.count < entry.path.count { return -1 }
    return HTTPText.same(path[..<entry.path.count], entry.path[...]) ? entry.path.count : -1
  }

  @inline(never) private func bestLength(_ path: [UInt8], kind: Kind) -> Int {
    var best = -1
    for entry in entries where entry.kind == kind { best = max(best, Self.rank(entry, path)) }
    return best
  }

  /// The path for a sentence, if no secret is in it.
  private func shown(_ path: [UInt8], _ kind: Kind, _ rank: Int) -> Sentence {
    for entry in entries where entry.kind == kind && entry.isHidden && Self.rank(entry, path) == rank { return "this path" }
    return "the path \(quoted: path[...])"
  }

  // MARK: Asked for in the wrong way

  private static func isHTTPOnly(_ path: Sentence) -> Refusal {
    Refusal(
      404, "not_a_websocket_path", "\(path) is for plain HTTP and not for WebSocket", closeCode: CloseCode.noSuchPath,
      closes: true)
  }

  /// RFC 9110 §15.5.22.
  private static func isWebSocketOnly(_ request: Request, _ path: Sentence) -> Refusal {
    var message: Sentence = "\(path) is for WebSocket, and the request does not ask for an upgrade"
    if request.header("sec-websocket-key") != nil {
      message.add(": a proxy in between seems to have taken the Upgrade and Connection headers away")
    }
    return Refusal(426, "upgrade_required", message)
  }
}
