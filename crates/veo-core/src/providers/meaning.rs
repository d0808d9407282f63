//! The meaning of a provider's words and codes. All providers share one table, since they pass on the words of the same
//! services. The table decides which error the caller gets, and never whether a request was paid for.

use super::clauses::{Beginnings, clauses, has};
use crate::Subject;

/// The meaning of a refusal, or of the failure of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// A policy about this subject forbids the request or the video.
    Policy(Subject),
    /// The model does not exist, or does not exist any more.
    Retired,
    /// The API key has used up a limit of its own.
    KeyExhausted,
    /// The account has not enough credits.
    Credits,
    /// The provider refuses every request of the API key, the account or the address of the caller.
    ShutOut,
    /// The service is overloaded at the moment.
    Busy,
    /// An image, the language of the prompt or an option cannot be used. An option has no subject.
    UnusableInput(Option<Subject>),
    /// The service failed, and may work the next time.
    Passing,
}

/// Returns the meaning of a code and of words, if it is known.
pub(crate) fn meaning(code: Option<&str>, words: &str) -> Option<Meaning> {
    let clauses = clauses(&format!("{}\n{words}", code.unwrap_or_default()));
    for row in TABLE {
        let Some(clause) = row.fitting(&clauses) else {
            continue;
        };
        let meaning = match row.meaning {
            Meaning::Policy(usual) => {
                // The row can fit the code, while the subject is in the sentence.
                let anywhere = || clauses.iter().find_map(|clause| subject(clause));
                Meaning::Policy(subject(clause).or_else(anywhere).unwrap_or(usual))
            }
            Meaning::UnusableInput(_) => Meaning::UnusableInput(subject(clause)),
            meaning => meaning,
        };
        return Some(meaning);
    }
    None
}

/// A row of the table.
struct Row {
    meaning: Meaning,
    /// The row fits if one clause has every part of at least one of these lists.
    any: &'static [&'static [Beginnings]],
    /// The row does not fit if any clause has one of these beginnings.
    unless: Option<Beginnings>,
}

const fn row(meaning: Meaning, any: &'static [&'static [Beginnings]]) -> Row {
    Row {
        meaning,
        any,
        unless: None,
    }
}

impl Row {
    const fn unless(mut self, part: Beginnings) -> Self {
        self.unless = Some(part);
        self
    }

    /// Returns the first clause that the row fits.
    fn fitting<'a>(&self, clauses: &'a [String]) -> Option<&'a str> {
        if let Some(part) = self.unless
            && clauses.iter().any(|clause| has(clause, part))
        {
            return None;
        }
        for clause in clauses {
            let has_all = |parts: &&[Beginnings]| parts.iter().all(|part| has(clause, part));
            if self.any.iter().any(has_all) {
                return Some(clause);
            }
        }
        None
    }
}

/// The beginning of an error of Google's video services, which is followed by a few words in capitals.
const CODE: Beginnings = "public error";

/// The name of a model, in a clause that may say that the model is gone.
const MODEL: Beginnings = "model|endpoint|veo|gemini omni|模型|接口已";
/// The name of a model, in a clause whose subject is something else.
const OF_MODEL: Beginnings = "by model|for model|with model|in model|on model|from model|using model|by veo|for veo|with veo\
    |in veo|on veo|from veo|using veo|by endpoint|for endpoint|on endpoint|from endpoint";
/// A part of a request. A clause with one of these is not about the model itself.
const OPTION: Beginnings = "duration|resolution|ratio|size|seconds|length|format|language|parameter|field|option|feature\
    |seed|audio|sound|image|frame|reference|extend|extension|prompt|mode |generation type|content type|url|link|file\
    |watermark|translat|call back|callback|4k|1080p|720p|参数|分辨率|时长|水印|翻译|图片|参考图|帧";
/// A part of a request, or a model, is not supported.
const NOT_SUPPORTED: Beginnings = "not supported|isnt supported|arent supported|unsupported|no longer|no more |been removed\
    |was removed|is removed|deprecated|discontinued";
/// A model does not exist any more, or never existed.
const GONE: Beginnings = "is gone|retired|decommission|shut down|shutdown|is sunset|was sunset|been sunset|sunsetted|sunset on\
    |end of life|end of support|eol |reached end|switched off|turned off|phased out|withdrawn|obsolete|superseded\
    |ceased|has ended|replaced by|no available channel|shut off|model sunset|下线|下架|停用|停止服务|停止支持|停止提供\
    |停止使用|停止运营|结束服务|终止|停服|弃用|废弃|退役|淘汰|移除|不再可用|不再提供|不再支持 .|不支持 .|不支援 .\
    |不再支援 .|不受支持|不被支持|不存在|未找到|停运|停止维护|无可用渠道";
/// Something is not available, perhaps only for a while.
const NOT_THERE: Beginnings = "not available|isnt available|unavailable|disabled|offline|suspended|not enabled|禁用|不可用\
    |未开放|未启用|已关闭";
/// Something becomes available again by itself.
const BACK_SOON: Beginnings = "temporar|maintenance|for now|right now|临时|暂时|维护";

/// A service that looks for what policies forbid.
const MODERATION: Beginnings = "moderation|moderator|safety|guardrail|content filter|content polic|content check\
    |content review|content inspection|content security|审核|审查|内容安全|安全检测|安全检查|内容检测|风控";
/// A service does not work.
const OUTAGE: Beginnings = "timed out|timeout|time out|unavailable|not available|unreachable|not reachable|not respond\
    |no response|connection refused|connection reset|connection failed|connection error|connection lost|connect to\
    |crash|went wrong|internal error|internal server|server error|service error|system error|api error|network error\
    |unexpected error|unknown error|error during|error while|error in|error calling|error running|error occurred\
    |returned error|encountered error|returned 5|status 5|status code 5|http 5|is down|currently down|offline\
    |maintenance|failed to run|failed to call|failed to connect|failed to respond|failed to load|failed to start\
    |unable to run|unable to reach|unable to connect|unable to perform|could not run|could not reach\
    |could not be reached|check could not|checks could not|filter could not|complete safety|complete content\
    |complete moderation|service failure|unable to contact|could not contact|check failed to complete|outage|exception in|service exception\
    |temporar|超时|逾时|不可用|异常|故障|出错|错误|调用失败|请求失败|连接失败|无响应|未响应|维护|无回应|unable to check|无法完成|无法进行";
/// A service has checked the request or the video, and refused it.
const VERDICT: Beginnings = "due to safety|due to content|due to moderation|due to polic|because of safety\
    |because of content|safety reason|safety concern|policy reason|blocked by|flagged by|filtered by|violates|violated\
    |violating|may violate|违规|违反|违禁|未通过|不通过|触发|包含|含有|涉及";
/// A service is overloaded.
const LOAD: Beginnings = "high traffic|high load|heavy load|high demand|high volume|load is high|overload|busy|saturat\
    |too many requests|too many concurrent|rate limit|request limit|resource exhausted|resource has been exhausted\
    |thrott|capacity|concurren|call frequency|congest|queue is full|queue full|heavy traffic|too many tasks\
    |too many jobs|load too|load is too|负载|饱和|繁忙|忙碌|频繁|限流|限速|过载|拥挤|拥堵|高峰|排队|并发|流量过\
    |流量控制|频率|请求过多|请求太多|请求数过多|人数过多|任务过多|资源不足|请求量|人数较多|算力不足|速率|压力过大|slow down|resources exhausted";

/// The subjects of policies.
const THEMES: Beginnings = "unsafe|sexual|nud|porn|explicit|erotic|violen|gore|blood|hate|harass|bully|self harm|suicid\
    |minor |minors|child|underage|celebrit|prominent people|public figure|famous|likeness|photoreal|real people\
    |real person|danger|toxic|harmful|vulgar|profan|terror|extremis|weapon|drug|illegal|copyright|trademark|offensive\
    |inappropriate|banned|暴力|血腥|恐怖|裸|色情|低俗|未成年|儿童|名人|明星|公众人物|真人|肖像|政治|违法|非法|版权\
    |商标|知识产权|毒品|武器|仇恨|不良|不当|有害";
/// A subject is present, or is forbidden.
const HAS_OR_FORBIDS: Beginnings = "content|material|detected|infring|contain|depict|show|featur|includ|involv|portray\
    |resembl|generation of|generating|not allow|not permit|prohibit|forbid|disallow|appear|内容|包含|含有|侵犯|涉及\
    |涉嫌|存在|出现|禁止|不允许|检测到|检出|疑似";
/// Words of policies and violations that are not about content.
const NO_CONTENT: Beginnings = "rate limit|retention|cors|retry polic|network polic|access control|access polic|access right\
    |iam polic|organization polic|bucket polic|password|billing polic|firewall|too long|too short|000 characters\
    |tokens|length|maximum|schema|constraint|validation|has been banned|is banned|has been suspended|is suspended\
    |account violat|account suspended|account has|account is|account was|account disabled|account banned\
    |account trigger|illegal character|illegal argument|case sensitive|safety setting|safety filter level|safety level\
    |safety identifier|invalid value|invalid parameter|unknown field|valid field|field must|parameter missing|unknown parameter|unknown name|content type\
    |minor version|minor error|minor issue|频率|限流|账号违规|账户违规|账号触发|账号存在|账户存在|账号已|账户已|用户已\
    |参数|字段|格式|尺寸|长度|比例|大小";

/// The sound of a video.
const SOUND: Beginnings =
    "audio|sound|speech|spoken|voice|dialog|music|lyrics|narration|音|台词|对白|旁白";
/// An image that was sent.
const IMAGE: Beginnings = "image|img |photo|picture|图片|图像|影像|图中|照片|相片";
/// An image that was sent, named by its use.
const FRAME: Beginnings = "input image|image upload|uploads of image|upload of image|uploaded image|reference image\
    |reference picture|reference photo|image violat|unsafe image|upload|photoreal|prominent people|frame|keyframe\
    |参考图|首图|尾图|原图|底图|垫图|帧";

/// The words of a sentence about one request. Other requests may be accepted.
const REQUEST: Beginnings = "prompt|image|video|description|character|copyright|infring|trademark|intellectual|third party|model\
    |feature|option|parameter|field|resolution|duration|public error|person generation";
/// A limit for a span of time, which more credits do not lift.
const PER_TIME: Beginnings = "rate|per minute|per day|requests|frequency|resource";

/// The table. The first row that fits a clause decides.
static TABLE: &[Row] = &[
    row(
        Meaning::Retired,
        &[&[CODE, "model", "access denied|not found|deprecated|disabled|retired"]],
    ),
    row(
        Meaning::Busy,
        &[
            &[CODE, "traffic|overload|quota|thrott|rate limit|too many|capacity|concurren|unusual activity"],
            &[MODERATION, LOAD],
        ],
    ),
    row(
        Meaning::UnusableInput(None),
        &[
            &[CODE, "english|language"],
            &[CODE, "image|upload", "small|large|big|size|dimension|ratio|format|corrupt|invalid|decode|type"],
        ],
    ),
    row(
        Meaning::Passing,
        &[
            &[CODE, "went wrong|timed out|timeout|internal|unknown|upload failed"],
        ],
    ),
    row(
        Meaning::Passing,
        &[
            &[MODERATION, OUTAGE],
            &["checking|reviewing|screening|nsfw detect|nsfw classif|rai service|check your prompt|敏感词服务|检测服务|检测接口|检测系统|过滤服务|识别服务", OUTAGE],
        ],
    )
    .unless(VERDICT),
    row(
        Meaning::KeyExhausted,
        &[
            &["token|key", "quota", "exhaust|not enough|exceed|used up|insufficient|remain"],
            &["key", "key limit|usage limit|usage exceed|spending limit|credit limit|daily limit|monthly limit|own limit"],
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
            &["top up|payment required|arrears|余额不足|额度不足|余额不够|欠费|预扣费额度失败|預扣費額度失敗|餘額不足|額度不足"],
        ],
    )
    .unless(PER_TIME),
    row(
        Meaning::ShutOut,
        &[
            &[
                "account|user |organization|organisation|workspace|customer|账号|账户|帐号|帐户|用户",
                "banned|suspended|disabled|deactivated|terminated|blacklist|black list|封禁|封号|被封|已封|禁用|冻结|停用",
            ],
            &["account|user blocked|user is blocked", "blocked|locked|closed|frozen|restricted|not active|inactive"],
            &[
                "ip |ips ",
                "whitelist|white list|allowlist|allow list|allowed|permitted|authorized|authorised|blocked|banned|blacklist\
                 |black list|denylist|forbidden|denied|restricted|列表|名单|限制|禁|不允许",
            ],
            &["country|region|territory|地区", "not supported|unsupported|not available|not allowed|restricted|blocked|不支持"],
            &[
                "api key|access key|secret key|token|令牌|密钥",
                "disabled|revoked|expired|deleted|banned|suspended|deactivated|禁用|过期|已失效",
            ],
            // These are the codes with which Cloudflare refuses every request of a caller.
            &["error code 1005|error code 1006|error code 1007|error code 1008|error code 1009|error code 1010"],
        ],
    )
    .unless(REQUEST),
    row(
        Meaning::Policy(Subject::Prompt),
        &[
            &[MODERATION],
            &["usage polic|use polic|usage guideline|community guideline|content guideline|responsible ai|moderated\
               |sensitive|nsfw|support codes|rephras|photoreal|prominent people|celebrit|likeness|real people\
               |real person|public figure|filtered out|filtered because|filtered due|media filtered|rai |spii \
               |recitation|blocklist|sentinel block|prohibited content|prohibited word|prohibited use|forbidden word\
               |banned word|third party rights|third party content|third party ip|intellectual property|ip infring\
               |copyright|trademark|csam|harmful content|inappropriate content|unsafe generation|unsafe content\
               |unsafe image|unsafe prompt|sexual|nudity|porn|violence|hate speech|harassment|self harm|prompt blocked\
               |content rejected|risk detect|deepfake|adult content|political content|risk not pass|敏感|违规|违禁|不合规|安全策略|安全规|安全系统|安全风险\
               |机审|色情|侵权|涉黄|涉政|涉恐|涉暴|血腥|暴力|不雅|低俗|人脸"],
            &["refused to|refuses to|拒绝", "generate content|生成内容|生成该内容|生成此内容"],
            &[
                "violat|against|concern|breach|comply|complian|conflict|contraven|infring|reject|block|flagged\
                 |prohibit|违反|不符合|触犯|触发|违背",
                "polic|guideline|terms|standards|rights|rules|practices|政策|规定|准则|规范|规则|条款|策略|守则|机制\
                 |法律|法规",
            ],
            &[
                "prompt|content|image|frame|input|description|output|generated|video was|提示词|内容",
                "inappropriate|harmful|offensive|unsafe|flagged|filtered|blocked|prohibited|disallowed|不当|有害\
                 |未通过|不通过|不符合|不被允许|拦截",
            ],
            &[HAS_OR_FORBIDS, THEMES],
            &[
                "unable to generate|could not generate|couldnt generate|cannot generate|cant generate\
                 |failed to generate|issue with|problem with|失败|无法生成",
                SOUND,
            ],
            &[SOUND, "blocked|filtered|flagged|muted"],
            &[CODE, THEMES],
            &[CODE, "filter|polic|moderat|blocked|prohibited|audio|face|ip |intellectual|third party"],
        ],
    )
    .unless(NO_CONTENT),
    row(
        Meaning::Passing,
        &[
            &[MODEL, NOT_SUPPORTED, BACK_SOON],
            &[MODEL, GONE, BACK_SOON],
        ],
    ),
    row(
        // The model exists, and does not support a part of the request.
        Meaning::UnusableInput(None),
        &[
            &[OF_MODEL, NOT_SUPPORTED],
            &[MODEL, OPTION, NOT_SUPPORTED],
            &[MODEL, OPTION, "not found|not exist"],
        ],
    ),
    row(
        Meaning::Retired,
        &[
            &[MODEL, NOT_SUPPORTED],
            &[MODEL, GONE],
            &[MODEL, "paused"],
            &["model", "not found|not exist|doesnt exist"],
            &["invalid model|unknown model|no such model|entity was not found|无效的模型|找不到模型"],
            &[
                "not support|longer support|doesnt support|dont support|cannot support",
                "support model|support veo|supports model|supports veo",
            ],
            &["不支|不再支", "持模型|持该模型|持此模型|持的模型|援模型|援该模型|援此模型|援的模型"],
        ],
    ),
    row(
        Meaning::UnusableInput(None),
        &[
            &["english prompts|only english|english only|non english|in english|use english|仅支持英文|只支持英文\
               |使用英文"],
            &["language", "not supported|unsupported"],
            &[
                "failed to|unable to|could not|couldnt|cannot|cant",
                "fetch|retrieve|download|load|read|decode|open|access|parse",
                "image|photo|picture|reference|frame",
            ],
            &[
                "image|photo|picture|first frame|last frame",
                "too small|too large|too big|at least|download failed|corrupt|unsupported|not supported|invalid|resolution|dimension|format\
                 |exceeds|not accessible|inaccessible",
            ],
            &["图片|图像|帧|参考图", "过大|过小|格式|下载|尺寸|无法"],
        ],
    ),
    row(
        Meaning::Busy,
        &[&[LOAD], &["quota", "exceeded|reached"]],
    ),
    row(
        Meaning::Passing,
        &[
            &["internal error|internal server|server error|went wrong|timeout|timed out|deadline exceeded\
               |generation failed|generation task failed|unexpected error|unknown error|service unavailable\
               |service issue|temporar|maintenance|try again later|connection|connect error|bad gateway|超时|逾时\
               |系统错误|系统异常|服务异常|内部错误|生成失败|生成视频失败|稍后|维护|暂时"],
            &["not available|isnt available|unavailable|offline|不可用", "currently|right now|at moment|at time|目前|当前|暂"],
        ],
    ),
    row(
        // These rows come after the rows of outages: during an outage, a model is missing only for a while.
        Meaning::UnusableInput(None),
        &[
            &[OF_MODEL, NOT_THERE],
            &[MODEL, OPTION, NOT_THERE],
            &["模型", "不支持|不支援"],
        ],
    ),
    row(Meaning::Retired, &[&[MODEL, NOT_THERE]]),
];

/// The subjects of policies, in the order in which they are looked for. Each has its words, and words that rule it out.
const SUBJECTS: [(Subject, Beginnings, Option<Beginnings>); 5] = [
    (
        Subject::Output,
        SOUND,
        Some("image|hate speech|hateful speech"),
    ),
    (Subject::Image, FRAME, Some("text prompt|generated|output")),
    (
        Subject::Output,
        "output|video contains|video violat|video safety|generated video|generated content|generated clip|generated frame|result did|result video|resulting video\
         |finished video|post generation|clip was|filtered out\
         |filtered because|filtered due|video was|media filtered|rai filter|生成的视频|生成的影片|生成的内容|生成内容|视频内容|视频审核|影片审核|影片内容|成片|输出\
         |生成结果",
        Some("input"),
    ),
    (Subject::Image, IMAGE, Some("prompt|description")),
    (
        Subject::Prompt,
        "prompt|description|text|提示词|文本|描述",
        None,
    ),
];

/// Returns the subject of a clause.
fn subject(clause: &str) -> Option<Subject> {
    for (subject, words, unless) in SUBJECTS {
        let is_other = unless.is_some_and(|part| has(clause, part));
        if has(clause, words) && !is_other {
            return Some(subject);
        }
    }
    None
}
