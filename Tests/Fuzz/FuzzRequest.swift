// SPDX-License-Identifier: Apache-2.0

/// The requests of one connection. Input: a byte for the sizes of the chunks, a byte for the limits, the bytes. However
/// they are cut, the same requests come of them; each is routed and answered.
func fuzzRequest(_ bytes: UnsafeRawBufferPointer) {
  guard bytes.count >= 2 else { return }
  let seed = bytes[0]
  var limits = RequestLimits()
  if bytes[1] & 1 != 0 { limits.bodySize = 8 }
  if bytes[1] & 2 != 0 { limits.headSize = 256 }
  if bytes[1] & 4 != 0 { limits.targetSize = 16 }
  if bytes[1] & 8 != 0 { limits.headers = 3 }
  let input = UnsafeRawBufferPointer(rebasing: bytes[2...])
  let whole = Exchange(limits)
  _ = whole.take(input)
  let cut = Exchange(limits)
  fuzzChunks(input, seed: seed) { cut.take($0) }
  fuzzRequire(whole.log == cut.log, "two conversations")
  fuzzRequire(whole.used == cut.used, "two ends")
}

private final class Exchange {
  private let parser: RequestParser
  private let limits: RequestLimits
  private var table = RouteTable()
  private var cors = CORS()
  /// All answers and bodies.
  private(set) var log: [UInt8] = []
  private(set) var used = 0

  init(_ limits: RequestLimits) {
    self.limits = limits
    parser = RequestParser(limits: limits)
    let routes: [(String, Bool, RouteTable.Kind, Methods)] = [
      ("/", true, .http, .get), ("/ws", false, .webSocket, .get), ("/publish", false, .http, .post), ("/deep/er/", true, .http, .get),
    ]
    for (index, route) in routes.enumerated() {
      let problem = table.add(Array(route.0.utf8), isPrefix: route.1, route.2, methods: route.3, route: index)
      fuzzRequire(problem == nil, "a route is refused")
    }
    fuzzRequire(cors.allow(Array("https://a.example".utf8)) == nil, "an origin is refused")
  }

  /// False once nothing may follow.
  func take(_ chunk: UnsafeRawBufferPointer) -> Bool {
    var offset = 0
    while true {
      let before = offset
      let progress = parser.receive(chunk, from: &offset)
      fuzzRequire(offset >= before && offset <= chunk.count, "an offset outside")
      used += offset - before
      switch progress {
      case .needMoreBytes:
        fuzzRequire(offset == chunk.count, "bytes are left over")
        return true
      case .failed(let refusal):
        fuzzRequire(refusal.closes, "a failure that goes on")
        refuse(refusal, nil)
        return false
      case .request(let request):
        fuzzRequire(offset > before, "a request of nothing")
        serve(request)
        if request.isUpgrade { return false }
      }
    }
  }

  private func refuse(_ refusal: Refusal, _ request: Request?) {
    fuzzRequirePlain(String(decoding: refusal.message.bytes, as: UTF8.self))
    let answer = refusal.encode(to: request, requestID: "r", date: 0)
    fuzzRequire(answer.isEmpty == (refusal.status == 0), "no answer to HTTP")
    note(answer)
  }

  private func serve(_ request: Request) {
    check(request)
    note(request.path + request.body)
    if let token = request.query.value(of: "token") { note(token) }
    if let token = request.bearer ?? request.cookie("session") { note(Array(token)) }
    switch cors.preflight(request, methods: table.methods(of: request.path)) {
    case .success(let response): return answer(response, request)
    case .failure(let refusal): return refuse(refusal, request)
    case nil: break
    }
    switch table.match(request) {
    case .refused(let refusal): refuse(refusal, request)
    case .route(let route, let rest):
      if route == 1 { return upgrade(request) }
      if route == 2 { return answer(Response(204), request) }
      file(request, rest)
    }
  }

  private func check(_ request: Request) {
    let path = request.path
    fuzzRequire(request.body.count <= limits.bodySize && request.head.fields.count <= limits.headers, "over a limit")
    fuzzRequire(request.head.bytes.count <= limits.headSize && request.target.count <= limits.targetSize, "over a limit")
    fuzzRequire(path.withUnsafeBytes { isValidUTF8($0) } && !path.contains { $0 < 0x20 || $0 == 0x7F || $0 == 0x5C }, "a bad path")
    if path == [UInt8(ascii: "*")] { return }
    fuzzRequire(path.first == UInt8(ascii: "/"), "a path without root")
    let segments = path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    for (index, segment) in segments.enumerated() {
      fuzzRequire(!segment.elementsEqual(".".utf8) && !segment.elementsEqual("..".utf8), "dots are left")
      fuzzRequire(!segment.isEmpty || index == segments.count - 1, "two slashes are left")
    }
  }

  private func upgrade(_ request: Request) {
    var terms = UpgradeTerms()
    terms.subprotocols = ["pulse.v1"]
    switch UpgradeOffer.read(request) {
    case .failure(let refusal): refuse(refusal, request)
    case .success(let offer):
      if let token = offer.token { note(token) }
      switch UpgradeVerdict.decide(offer, terms) {
      case .refused(let refusal): refuse(refusal, request)
      case .accepted(let answer):
        if let deflate = answer.deflate {
          fuzzRequire(deflate.serverNoContextTakeover && deflate.serverMaxWindowBits == 15, "frames that do not fit every client")
        }
        note(answer.bytes)
      }
    }
  }

  private func file(_ request: Request, _ rest: Int) {
    switch StaticFiles.relativePath(request.path, rest: rest) {
    case .failure(let refusal): refuse(refusal, request)
    case .success(let relative):
      fuzzRequire(!relative.isEmpty && relative.first != UInt8(ascii: "/") && relative.first != UInt8(ascii: "."), "out of the folder")
      let facts = FileFacts(size: 100, modified: 784_111_777_000_000_000, inode: 7)
      let found = StaticFiles().answer(request, relative: relative, facts, date: 784_111_999)
      fuzzRequire(found.from >= 0 && found.count >= 0 && found.from + found.count <= facts.size, "a range outside of the file")
      note(found.head)
      answer(StaticFiles().redirectToFolder(request), request)
    }
  }

  private func answer(_ response: Response, _ request: Request) {
    guard case .success(let bytes) = response.encode(to: request, date: 0) else {
      return fuzzRequire(false, "an answer can't be built")
    }
    note(bytes)
  }

  private func note(_ bytes: [UInt8]) {
    log += bytes
    log.append(0)
  }
}
