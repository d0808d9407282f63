//! The meaning of a provider's words and codes: one table for all providers, since they hand through those of the same
//! services behind them. It decides what is told, and never what was paid.

use crate::Subject;

/// The meaning of a refusal, or of the failure of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// A policy about this.
    Policy(Subject),
    /// The model is not there, or not any more.
    Retired,
    /// The key has used up its own limit.
    KeyExhausted,
    /// The account has not enough credits.
    Credits,
    /// The key, the account, or the address that it is used from is shut out, whatever is asked for.
    ShutOut,
    /// There is too much to do at the moment.
    Busy,
    /// An image or a language cannot be used.
    UnusableInput,
    /// Something broke, and may work the next time.
    Passing,
}

/// A row of the table.
struct Row {
    meaning: Meaning,
    /// It fits if all parts of one of these are there.
    any: &'static [&'static [Part]],
    /// It does not fit if this is there.
    unless: Option<Part>,
}

/// Beginnings of words, in the form of [`normalised`] text and divided by `|`, of which one has to be there.
type Part = &'static str;

const fn row(meaning: Meaning, any: &'static [&'static [Part]]) -> Row {
    Row {
        meaning,
        any,
        unless: None,
    }
}

impl Row {
    const fn unless(mut self, part: Part) -> Self {
        self.unless = Some(part);
        self
    }

    fn fits(&self, text: &str) -> bool {
        let is_there = |part: &Part| has(text, part);
        let fits = self.any.iter().any(|parts| parts.iter().all(is_there));
        fits && !self.unless.is_some_and(|part| has(text, part))
    }
}

/// The beginning of an error of Google's video services, which is followed by a few words in capitals.
const CODE: Part = "public error";
/// Other things that have policies, and limits that are violated.
const NO_CONTENT: Part = "rate limit|retention|cors|retry polic|network polic|access control|access polic|iam polic\
    |organization polic|bucket polic|password|billing polic|too long|too short|characters|tokens|length|schema|constraint\
    |has been banned|is banned|has been suspended|is suspended|account violat|频率";
/// Services that look for what policies forbid.
const MODERATION: Part = "moderation|safety|content filter|content polic|content check|审核|審核";
/// The end of a sentence about a service that does not work.
const OUTAGE: Part = "timed out|timeout|unavailable|unreachable|not respond|not reachable|connection|crash|超时|不可用";
/// A sentence with one of these is not about the model itself.
const OPTION: Part = "duration|resolution|ratio|size|seconds|length|format|language|parameter|field|option|feature|seed|audio\
    |image|frame|reference|extend|extension|prompt|mode |generation type|content type|url|link|file";
/// A state that ends by itself.
const FOR_NOW: Part = "temporar|right now|at the moment|currently|try again|overload|busy|high ";
/// A sentence with one of these is about what was asked for, and no other request need be refused.
const REQUEST: Part = "prompt|image|video|description|character|copyright|infring|trademark|intellectual|third party|model\
    |feature|option|parameter|field|resolution|duration|public error";
/// A limit within a time, against which no credits help.
const PER_TIME: Part = "rate|per minute|per day|requests|frequency|resource";

/// The first row that fits counts.
static TABLE: &[Row] = &[
    row(
        Meaning::Retired,
        &[&[CODE, "model", "access denied|not found|deprecated|disabled|retired"]],
    ),
    row(
        Meaning::Busy,
        &[&[CODE, "traffic|overload|quota|thrott|rate limit|too many|capacity|concurren|unusual activity"]],
    ),
    row(
        Meaning::UnusableInput,
        &[
            &[CODE, "english|language"],
            &[CODE, "image|upload", "small|large|big|size|dimension|ratio|format|corrupt|invalid|decode|type"],
        ],
    ),
    row(
        Meaning::Passing,
        &[
            &[CODE, "went wrong|timed out|timeout|internal|unknown|upload failed"],
            &[MODERATION, OUTAGE],
        ],
    ),
    row(
        Meaning::KeyExhausted,
        &[
            &["token|key", "quota", "exhaust|not enough|exceed|used up|insufficient|remain"],
            &["key", "key limit|usage limit|spending limit|credit limit|daily limit|monthly limit|own limit"],
            &["令牌", "额度|用尽"],
        ],
    )
    .unless(PER_TIME),
    row(
        Meaning::Credits,
        &[
            &[
                "insufficient|not enough|too low|exhausted|depleted|run out|ran out|out of|used up",
                "credit|balance|fund|quota",
            ],
            &["top up|payment required|arrears|余额不足|额度不足|余额不够|欠费"],
        ],
    )
    .unless(PER_TIME),
    row(
        Meaning::ShutOut,
        &[
            &[
                "account|user |organization|organisation|workspace|customer|账号|账户|帐号|帐户|帳號|帳戶|用户|用戶",
                "banned|suspended|disabled|deactivated|terminated|blacklist|black list|封禁|封号|封號|被封|已封|禁用|冻结|凍結|停用",
            ],
            &["account", "blocked|locked|closed|frozen|restricted|not active|inactive"],
            &[
                "ip |ips |client ip|的ip|您ip|ip地址|ip不|ip未",
                "whitelist|white list|allowlist|allow list|allowed|permitted|authorized|authorised|blocked|banned|blacklist\
                 |black list|denylist|forbidden|denied|restricted|列表|名单|名單|限制|禁|不允许",
            ],
            &["country|region|territory|地区|地區", "not supported|unsupported|not available|not allowed|restricted|blocked|不支持"],
            &[
                "api key|access key|secret key|token|令牌|密钥",
                "disabled|revoked|expired|deleted|banned|suspended|deactivated|禁用|过期|已失效",
            ],
            // Those of Cloudflare about whoever asks.
            &["error code 1005|error code 1006|error code 1007|error code 1008|error code 1009|error code 1010"],
        ],
    )
    .unless(REQUEST),
    row(
        Meaning::Retired,
        &[
            &[
                "model|endpoint|veo|version|模型",
                "no longer|not supported|unsupported|retired|deprecated|discontinued|decommission|shut down|shutdown|sunset\
                 |paused|offline|no available channel|下线|停用|不支持|不存在|无可用渠道",
            ],
            &["model", "not found|not exist|doesnt exist"],
            &["invalid model|unknown model|no such model|entity was not found"],
        ],
    )
    .unless(OPTION),
    row(Meaning::Retired, &[&["model", "not available|unavailable"]]).unless(FOR_NOW),
    row(
        // The subject is looked for below.
        Meaning::Policy(Subject::Prompt),
        &[
            &[
                CODE,
                "unsafe|sexual|nud|violen|gore|hate|harass|self harm|minor|child|celebrit|prominent people|public figure\
                 |likeness|photoreal|danger|toxic|harmful|vulgar|profan|terror|extremis|weapon|drug|illegal|copyright\
                 |trademark|ip |intellectual|third party|offensive|inappropriate|filter|polic|safety|moderat|blocked\
                 |prohibited|sensitive|audio",
            ],
            &["content polic|usage polic|use polic|safety polic|usage guideline|community guideline|content guideline\
               |safety guideline|responsible ai|safety system|safety filter|safety check|safety reason|content filter\
               |content rejected|content moderat|moderation|moderated|sensitive word|sensitive keyword|sensitive term|sensitive content|contains sensitive|sensitive info\
               |sensitive material|as sensitive|sentinel block|prompt blocked|nsfw|support codes|rephras|photoreal\
               |prominent people|celebrit|likeness|real people|real person|public figure|filtered out|filtered because\
               |prohibited content|third party rights|third party content|harmful content|inappropriate content\
               |unsafe generation|unsafe content|unsafe image|unsafe prompt|sexual|nudity|media filtered|rai filter\
               |risk detect|reason safety|敏感|违规|違規|不合规|审核|審核|色情"],
            &["violat|违反|違反", "polic|guideline|terms|standards|rights|rules|practices|政策|规定|准则|規定|準則"],
            &[
                "prompt|content|image|input|description|output|generated video|generated audio|video was|提示词|内容",
                "inappropriate|harmful|offensive|unsafe|flagged|违禁|不当",
            ],
            &["safety|guardrail", "block|reject|flag|violat|prohibit|refus"],
            &[
                "unable to generate|could not generate|couldnt generate|cannot generate|cant generate|failed to generate\
                 |issue with|problem with",
                "audio|sound|speech",
            ],
        ],
    )
    .unless(NO_CONTENT),
    row(
        Meaning::UnusableInput,
        &[
            &["english prompts|only english|english only|non english|in english|use english"],
            &["language", "not supported|unsupported"],
            &[
                "failed to|unable to|could not|couldnt|cannot|cant",
                "fetch|retrieve|download|load|read|decode|open|access|parse",
                "image|photo|picture|reference",
            ],
            &[
                "image",
                "too small|too large|too big|corrupt|unsupported|not supported|invalid|resolution|dimension|format|exceeds\
                 |not accessible|inaccessible",
            ],
            &["图片|圖片|图像", "过大|过小|格式|下载|尺寸|无法"],
        ],
    ),
    row(
        Meaning::Busy,
        &[
            &["high traffic|high load|heavy load|high demand|overload|is busy|service busy|server busy|system busy|saturat\
               |too many requests|rate limit|resource exhausted|resource has been exhausted|thrott|at capacity|no capacity\
               |out of capacity|concurren|call frequency|负载|饱和|繁忙|频繁|稍后再试"],
            &["quota", "exceeded|reached"],
        ],
    ),
    row(
        Meaning::Passing,
        &[
            &["internal error|internal server|server error|went wrong|timeout|timed out|deadline exceeded|generation failed\
               |generation task failed|unexpected error|unknown error|service unavailable|temporar|try again later\
               |connection|connect error|bad gateway|超时|系统错误|内部错误|生成失败|生成视频失败"],
        ],
    ),
];

/// The subject of a policy, in the order in which the words for them are looked for: what they are, and what may not be there
/// beside them.
const SUBJECTS: [(Subject, Part, Part); 4] = [
    (Subject::Output, "audio|sound|speech", "image|hate"),
    (
        Subject::Image,
        "input image|image upload|uploads of image|upload of image|uploaded image|reference image|image violat|unsafe image\
         |upload|photoreal|prominent people|图片|圖片|图像|参考图|照片|首帧|尾帧",
        "text prompt",
    ),
    (
        Subject::Output,
        "output|generated video|generated content|generated clip|filtered out|filtered because|filtered due|video was|media filtered|rai filter\
         |生成的视频|输出|生成结果",
        "input",
    ),
    (Subject::Image, "image|photo|picture", "prompt|description"),
];

/// The meaning of a code and of words, if it is known.
pub(crate) fn meaning(code: Option<&str>, words: &str) -> Option<Meaning> {
    let text = normalised(&format!("{} {words}", code.unwrap_or_default()));
    let row = TABLE.iter().find(|row| row.fits(&text))?;
    match row.meaning {
        Meaning::Policy(_) => Some(Meaning::Policy(subject(&text))),
        meaning => Some(meaning),
    }
}

fn subject(text: &str) -> Subject {
    SUBJECTS
        .into_iter()
        .find(|(_, words, unless)| has(text, words) && !has(text, unless))
        .map_or(Subject::Prompt, |(subject, ..)| subject)
}

/// Whether one of the beginnings of words is there. Where words have no spaces between them, anywhere.
fn has(text: &str, part: &str) -> bool {
    part.split('|').any(|start| {
        if start.is_ascii() {
            text.contains(&format!(" {start}"))
        } else {
            text.contains(start)
        }
    })
}

/// The words of a text and of the codes in it, in lower case and with one space before and after each: `can't` is `cant`,
/// `PUBLIC_ERROR` is `public error`, and `InputImage` is `input image`.
fn normalised(text: &str) -> String {
    let mut words = String::from(" ");
    let mut was_small = false;
    for letter in text.chars() {
        if matches!(letter, '\'' | '’' | '‘' | '`' | '´') {
            continue;
        }
        let is_boundary = !letter.is_alphanumeric() || was_small && letter.is_uppercase();
        if is_boundary && !words.ends_with(' ') {
            words.push(' ');
        }
        if letter.is_alphanumeric() {
            words.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}
