"""What exception types mean: of Python, HTTP clients, Google's client, SQL drivers, engines, Airflow and Java.

A type is looked up by its last name ("requests.exceptions.ConnectionError" → "connectionerror"). Types that are raised
for everything (ValueError, OSError, RuntimeError, DatabaseError …) are left out: they say nothing of the cause.
"""

from __future__ import annotations

from typing import Final

from shared.domain.incident import FailureClass as C

_STRONG: Final[dict[C, str]] = {
    C.PERMISSION_DENIED: """
        permissionerror permissiondenied permissiondeniederror forbidden forbiddenerror httpforbidden
        insufficientprivilege accesscontrolexception accessdenied accessdeniedexception accessdeniederror
        topicauthorizationfailedexception topicauthorizationexception groupauthorizationexception
        clusterauthorizationexception authorizationexception permissionexception airflowpermissionerror
        readonlysqltransactionerror nopermissionerror securityexception
        """,
    C.AUTHENTICATION_FAILURE: """
        unauthorized unauthenticated unauthorizederror invalidpassword invalidauthorizationspecification
        invalidpassworderror invalidauthorizationspecificationerror authenticationerror authenticationexception
        authenticationfailed authenticationfailederror authfailed autherror refresherror defaultcredentialserror
        nocredentialserror partialcredentialserror clientautherror saslauthenticationexception saslauthenticationerror
        loginexception badcredentialsexception expiredsignatureerror invalidsignatureerror invalidtokenerror
        expiredtokenexception credentialunavailableerror usernotfoundexception accessrefused probableauthenticationerror
        credentialretrievalerror tokenretrievalerror ssotokenloaderror smtpauthenticationerror badauthenticationtype
        authrequirederror
        """,
    C.NETWORK_TIMEOUT: """
        connectionrefusederror connectionreseterror connectionabortederror connectionerror brokenpipeerror
        connecttimeout connecterror connecttimeouterror readtimeout readtimeouterror newconnectionerror
        maxretryerror nameresolutionerror gaierror remotedisconnected remoteprotocolerror protocolerror
        incompleteread chunkedencodingerror serverdisconnectederror clientconnectorerror clientconnectiondnserror
        clientconnectionerror clientoserror serviceunavailable badgateway gatewaytimeout httpservererror
        connectexception unknownhostexception sockettimeoutexception socketexception noroutetohostexception
        communicationsexception connectionclosedexception endpointconnectionerror connectionclosederror
        nobrokersavailable kafkaconnectionerror brokernotavailableerror autoreconnect serverselectiontimeouterror
        networktimeout connectiondoesnotexist connectionfailure cannotconnectnow sqlclientunabletoestablishsqlconnection
        crashshutdown adminshutdown proxyerror networkerror writetimeout writeerror readerror closedchannelexception
        shufflefetchfailedexception fetchfailedexception amqpconnectionerror streamlosterror connectionlosserror
        hostunreachableexception retryablecommiterror brokerresponseerror proxyconnectionerror clientpayloaderror
        """,
    C.TIMEOUT_EXCEEDED: """
        deadlineexceeded timeoutexpired locknotavailable locknotavailableerror
        locktimeout airflowtasktimeout airflowsensortimeout airflowdagruntimeout softtimelimitexceeded
        timelimitexceeded statementtimeout statementtimeouterror operationtimedout sqltimeoutexception
        executiontimeout idleintransactionsessiontimeout processtimeout jobtimeoutexception cancelledtimeouterror
        timeoutexception futuretimeouterror flowruntimeouterror taskruntimeouterror hardtimelimitexceeded
        """,
    C.RATE_LIMITING: """
        toomanyrequests ratelimitexceeded ratelimiterror ratelimitexception throttlingexception throttled
        requestlimitexceeded provisionedthroughputexceededexception toomanyrequestsexception httptoomanyrequests
        quotaexceeded quotaexceededexception slowdown limitexceededexception ratelimited throttlederror
        """,
    C.RESOURCE_EXHAUSTION: """
        toomanyconnections toomanyconnectionserror brokenprocesspool
        brokenthreadpool rejectedexecutionexception insufficientresources insufficientresourceserror
        configurationlimitexceeded outofsharedmemory statementtoocomplex circuitbreakingexception poolerror pooltimeout
        connectionpooltimeoutexception outofmemorywhilecompiling bufferoverflow emptypoolerror maxconnectionserror
        memoryerror outofmemory outofmemoryerror killedworker terminatedworkererror workerlosterror oomkilled
        nodeoutofmemory _arraymemoryerror arraymemoryerror outofmemoryexception outofmemorycudaerror
        """,
    C.MEMORY_LEAK: """
        leakdetectedexception memoryleakexception
        """,
    C.DISK_SPACE_FULL: """
        diskfull diskfullerror diskfullexception nospaceleft dsquotaexceededexception quotadiskexceeded
        diskoutofspaceexception outofdiskerror
        """,
    C.SCHEMA_MISMATCH: """
        undefinedcolumn undefinedcolumnerror datatypemismatch datatypemismatcherror ambiguouscolumn
        columnnotfounderror schemaerror schemafieldnotfounderror shapeerror duplicateerror duplicatecolumn
        analysisexception structfieldnotfounderror schemamismatcherror schemanotmatch mapperparsingexception
        schemaincompatibleexception incompatibleschemaexception avroschemaresolutionexception
        schemaresolutionerror schemaresolutionexception stringdatarighttruncation stringdatarighttruncationerror
        schemamismatch cannotcoerce stringdatarighttruncationexception invalidschema typemismatchexception
        schemavalidationerror mergeerror unresolvedcolumn strictdynamicmappingexception avrotypeexception
        schemacompatibilityerror schemaerrors conversionexception numberformatexception
        """,
    C.DATA_CORRUPTION: """
        unicodedecodeerror unicodeencodeerror jsondecodeerror badgzipfile badzipfile notnullviolation
        notnullviolationerror uniqueviolation uniqueviolationerror foreignkeyviolation foreignkeyviolationerror
        checkviolation checkviolationerror integrityerror
        numericvalueoutofrange numericvalueoutofrangeerror datetimefieldoverflow datetimefieldoverflowerror
        invaliddatetimeformat invaliddatetimeformaterror badcopyfileformat badcopyfileformaterror
        characternotinrepertoire untranslatablecharacter datacorrupted indexcorrupted
        parsererror lzmaerror zipexception datetimeparseexception malformedinputexception
        streamcorruptedexception corruptrecordexception serializationexception checksumexception
        outofboundsdatetime constraintexception outofrangeexception
        jsonparseexception unpicklingerror ziperror checksumerror crcerror corruptdataerror decodeerror
        datalossexception sqlintegrityconstraintviolationexception invalidoperationerror
        conversionsyntax eofexception unexpectedeof parseexceptionerror constraintviolation
        duplicatekeyerror duplicatekeyexception
        """,
    C.MISSING_DEPENDENCY: """
        modulenotfounderror importerror filenotfounderror filenotfoundexception nosuchfileexception notfound
        notfounderror resourcenotfoundexception undefinedtable undefinedtableerror undefinedfunction
        undefinedfunctionerror undefinedobject undefinedobjecterror invalidschemaname invalidcatalogname
        invalidcatalognameerror invalidschemanameerror undefinedfile classnotfoundexception noclassdeffounderror
        nosuchmethoderror unsatisfiedlinkerror nosuchmoduleerror packagenotfounderror distributionnotfound
        nosuchtableerror nosuchtableexception nosuchkey nosuchbucket unknowntopicorpartitionexception
        unknowntopicorpartitionerror airflownotfoundexception dagnotfound taskdeferralnotfound catalogexception
        tablenotfounderror tablenotfoundexception indexnotfoundexception invalidinputpathexception
        resolutionimpossible notregistered missingdependency optionaldependencynotavailable missingdependencyerror
        nosuchentityexception channelclosedbybroker blobnotfounderror resourcenotfounderror objectnotfound
        """,
    C.CONFIGURATION_ERROR: """
        configurationerror configerror configexception configurationexception airflowconfigexception
        improperlyconfigured
        missingschema invalidurl unsupportedprotocol argumenterror argumenttypeerror usageerror badparameter
        nosuchoption missingparameter badoptionusage nosectionerror nooptionerror missingsectionheadererror
        parsingerror duplicateoptionerror interpolationerror tomldecodeerror scannererror yamlerror
        illegalargumentexception
        paramvalidationerror noregionerror invalidargument
        invalidparametervalue cantchangeruntimeparam unsupportedclassversionerror dagsterinvalidconfigerror
        dagsterinvaliddefinitionerror parameterbinderror settingserror missingenvironmentvariable configfileerror
        endpointprovidererror invalidendpointerror profilenotfound parameterbinderrors invalidconfigurationerror
        sslcertverificationerror certificateerror sslcertificateerror clientconnectorcertificateerror
        invalidregionerror locationparseerror
        """,
}
_WEAK: Final[dict[C, str]] = {
    C.UNKNOWN: """
        syntaxerror attributeerror recursionerror zerodivisionerror divisionbyzero nameerror indentationerror
        unboundlocalerror indexerror assertionerror nullpointerexception stackoverflowerror typeerror
        arrayindexoutofboundsexception classcastexception illegalstateexception deadlockdetected serializationfailure
        parserexception syntaxexception parseexception groupingerror keyboardinterrupt notimplementederror
        airflowdagcycleexception duplicatetaskidfound
        """,
    C.TIMEOUT_EXCEEDED: "timeouterror timeout cancellederror querycanceled querycancelederror",
    C.NETWORK_TIMEOUT: "interfaceerror transporterror sslerror sslzeroreturnerror connectionexception",
    C.SCHEMA_MISMATCH: """
        binderexception typemismatcherror invalidtextrepresentation invalidtextrepresentationerror dataerror
        """,
    C.DATA_CORRUPTION: "eoferror arrowinvalid parseerror exceptionparse computeerror",
    C.CONFIGURATION_ERROR: """
        validationerror invalidinputexception composererror constructorerror badrequest
        """,
    C.RESOURCE_EXHAUSTION: "resourceexhausted resourceexhaustederror",
}

STRONG_WEIGHT: Final = 0.88
WEAK_WEIGHT: Final = 0.5

# Our own errors name their cause, not only its class.
OWN: Final[dict[str, str]] = {
    "definitionerror": "definition_wrong",
    "definitionmissing": "definition_missing",
    "limitexceeded": "limit_exceeded",
    "readingunknown": "definition_wrong",
    "invariantbroken": "internal_error",
    "ownershiprefused": "internal_error",
    "storetoonew": "internal_error",
    "storedamaged": "internal_error",
    "malformedevent": "internal_error",
    "terminalerror": "internal_error",
}


def _by_name(table: dict[C, str], weight: float) -> dict[str, tuple[C, float]]:
    return {name: (failure_class, weight) for failure_class, names in table.items() for name in names.split()}


TYPES: Final[dict[str, tuple[C, float]]] = {**_by_name(_WEAK, WEAK_WEIGHT), **_by_name(_STRONG, STRONG_WEIGHT)}


def last_name(exception_type: str) -> str:
    """The bare name of a type: "requests.exceptions.ConnectionError" → "connectionerror"."""
    return exception_type.strip().rpartition(".")[2].rpartition("$")[2].rpartition(":")[2].casefold()
